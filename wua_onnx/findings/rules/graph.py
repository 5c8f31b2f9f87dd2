"""Rules about the graph: its operators, its shapes, what onnx's checker says."""

from __future__ import annotations

from collections.abc import Iterator

from wua_onnx.cost.nodes import CONSTANT
from wua_onnx.findings.registry import Evidence, Finding, finding_rule


@finding_rule("work-on-constants")
def work_on_constants(evidence: Evidence) -> Iterator[Finding]:
    """Nodes that compute on constants only."""
    nodes = [node for node in evidence.cost.by_node if node.reason == CONSTANT and node.op != "Constant"]
    if nodes:
        yield Finding(
            rule="work-on-constants",
            severity="info",
            where=nodes[0].name if len(nodes) == 1 else f"{len(nodes):,} nodes",
            evidence="one node depends on constants only and runs once at load"
            if len(nodes) == 1
            else f"{len(nodes):,} nodes depend on constants only and run once at load",
            action="fold them at export for a faster start and a smaller graph",
            confidence="exact",
        )


@finding_rule("uncounted-operators")
def uncounted_operators(evidence: Evidence) -> Iterator[Finding]:
    """Operators whose work is not known."""
    unsupported = evidence.cost.unsupported
    if unsupported:
        listed = ", ".join(f"{op} × {count}" for op, count in list(unsupported.items())[:8])
        yield Finding(
            rule="uncounted-operators",
            severity="info",
            where="cost",
            evidence=f"no count for {listed}: the totals are a lower bound",
            action="bind free dimensions with dims= or data, or add a rule for the operator",
            confidence="exact",
        )


@finding_rule("checker")
def checker(evidence: Evidence) -> Iterator[Finding]:
    """What onnx's checker objects to."""
    if evidence.checker:
        yield Finding(
            rule="checker",
            severity="info",
            where="the file",
            evidence=f"onnx's checker objects: {evidence.checker}",
            action="nothing if the model runs; the checker is stricter than onnxruntime",
            confidence="exact",
        )


@finding_rule("shape-inference")
def shape_inference(evidence: Evidence) -> Iterator[Finding]:
    """Shapes that could not be inferred."""
    for problem in evidence.model.problems:
        yield Finding(
            rule="shape-inference",
            severity="info",
            where="shapes",
            evidence=problem,
            action="check the shapes the exporter declared at this node",
            confidence="exact",
        )
