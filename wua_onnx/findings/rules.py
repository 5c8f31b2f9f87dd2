"""The rules, one function each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import onnx_ir as ir

from wua_onnx.cost.memory import is_parameter, parameter_values
from wua_onnx.cost.nodes import CONSTANT
from wua_onnx.findings.registry import Evidence, Finding, finding_rule
from wua_onnx.model.limits import clean

REDUNDANT_LAYER = 0.60
UNDERUSED_MODEL = 0.30
SPARSE_LAYER = 0.50
# A figure counts as better than an untrained layer's only beyond the error of that baseline.
MARGIN = 0.03


def _scored(evidence: Evidence) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]]:
    for layer in evidence.layers:
        scored = layer["criteria"].get(evidence.criterion)
        if scored is not None and scored["baseline"] is not None and scored["metrics"]["sum"]:
            yield layer, scored["metrics"], scored["baseline"]


def _beyond_untrained(metrics: Mapping[str, Any], baseline: Mapping[str, Any], weights: int) -> int:
    """Return by how many weights the layer uses fewer than an untrained one; 0 within the baseline's error."""
    share = 1.0 - metrics["utilization"] / baseline["utilization"] if baseline["utilization"] else 0.0
    return int(share * weights) if share > MARGIN else 0


@finding_rule("layer-redundancy")
def layer_redundancy(evidence: Evidence) -> Iterator[Finding]:
    """A layer whose redundancy is above 60 % and above that of an untrained layer."""
    for layer, metrics, baseline in _scored(evidence):
        surplus = _beyond_untrained(metrics, baseline, layer["weights"])
        if metrics["redundancy"] > REDUNDANT_LAYER and surplus:
            yield Finding(
                rule="layer-redundancy",
                severity="high",
                where=layer["name"],
                evidence=f"redundancy {metrics['redundancy']:.2f} (untrained: {baseline['redundancy']:.2f}), "
                f"effective weights {metrics['effective']:,.0f} of {layer['weights']:,}",
                action="try a narrower layer, retrain, and compare the quality",
                params=surplus,
            )


@finding_rule("model-utilization")
def model_utilization(evidence: Evidence) -> Iterator[Finding]:
    """A model that uses less than 30 % of its weights, and less than an untrained one would."""
    totals = evidence.totals
    used, untrained = totals["utilization"], totals["baseline_utilization"]
    if used is not None and untrained and used < UNDERUSED_MODEL and used < untrained * (1 - MARGIN):
        yield Finding(
            rule="model-utilization",
            severity="high",
            where="the whole model",
            evidence=f"utilization {used:.1%} (untrained: {untrained:.1%}), "
            f"effective weights {totals['effective_weights']:,.0f} of {totals['weights']:,}",
            action="try a smaller architecture, retrain, and compare the quality",
            params=int(totals["weights"] * (1 - used / untrained)),
        )


@finding_rule("sparse-layer")
def sparse_layer(evidence: Evidence) -> Iterator[Finding]:
    """A layer of which more than half the weights have less than 1 % of the importance of its strongest ones."""
    for layer, metrics, baseline in _scored(evidence):
        share, untrained = metrics["relative_sparsity"]["0.01"], baseline["relative_sparsity"]["0.01"]
        if share > SPARSE_LAYER and share > untrained + MARGIN:
            yield Finding(
                rule="sparse-layer",
                severity="medium",
                where=layer["name"],
                evidence=f"{share:.0%} of its weights have less than 1 % of the 99.9th percentile of importance "
                f"(untrained: {untrained:.0%})",
                action="prune them, fine-tune, and compare the quality",
                params=int((share - untrained) * layer["weights"]),
            )


@finding_rule("dead-neurons")
def dead_neurons(evidence: Evidence) -> Iterator[Finding]:
    """Neurons that do nothing on the data (or, without data, have no incoming weight)."""
    for layer in evidence.layers:
        dead, neurons = layer["dead_neurons"], layer["neurons"]
        if not dead or dead == neurons or layer["kind"] == "embedding":
            continue
        measured = layer["mean_activation"] is not None
        yield Finding(
            rule="dead-neurons",
            severity="high" if dead * 4 >= neurons else "medium",
            where=layer["name"],
            evidence=f"{dead:,} of {neurons:,} neurons are "
            + ("never active on the data" if measured else "without any incoming weight"),
            action="remove them: on this data the outputs stay the same; check with data of every kind that matters",
            params=layer["weights"] * dead // neurons,
            flops=_share(evidence, layer, dead, neurons),
            confidence="measured" if measured else "exact",
        )


@finding_rule("unused-rows")
def unused_rows(evidence: Evidence) -> Iterator[Finding]:
    """Rows of a table that the data never looks up."""
    for layer in evidence.layers:
        dead, rows = layer["dead_neurons"], layer["neurons"]
        if layer["kind"] != "embedding" or not dead or layer["mean_activation"] is None:
            continue
        yield Finding(
            rule="unused-rows",
            severity="low",
            where=layer["name"],
            evidence=f"{dead:,} of {rows:,} rows are never looked up by this data",
            action="if the data holds every token that matters, a smaller vocabulary does; a few samples prove nothing",
            params=layer["weights"] * dead // rows,
        )


def _share(evidence: Evidence, layer: Mapping[str, Any], part: int, whole: int) -> int | None:
    macs = layer["macs"]
    return 2 * macs * part // whole if isinstance(macs, int) else None


@finding_rule("dead-layer")
def dead_layer(evidence: Evidence) -> Iterator[Finding]:
    """A layer in which no weight has any importance."""
    for layer in evidence.layers:
        scored = layer["criteria"].get(evidence.criterion)
        if scored is not None and scored["metrics"]["sum"] == 0:
            yield Finding(
                rule="dead-layer",
                severity="high",
                where=layer["name"],
                evidence=f"the importance of all {layer['weights']:,} weights is 0",
                action="find out why nothing passes: dead inputs, zero weights, or data that never reaches the layer",
                params=layer["weights"],
                confidence="measured" if layer["mean_activation"] is not None else "exact",
            )


@finding_rule("non-finite")
def non_finite(evidence: Evidence) -> Iterator[Finding]:
    """NaN or infinity in weights or activations."""
    for layer in evidence.layers:
        if layer["non_finite"]:
            yield Finding(
                rule="non-finite",
                severity="high",
                where=layer["name"],
                evidence=f"{layer['non_finite']:,} weights have a NaN or infinite importance; metrics use the others",
                action="look for overflow in the weights or for values the data should not have",
                confidence="exact",
            )


@finding_rule("fp64-weights")
def fp64_weights(evidence: Evidence) -> Iterator[Finding]:
    """Weights stored in 64-bit floating point."""
    values = [
        v for v in parameter_values(evidence.model) if v.const_value and v.const_value.dtype == ir.DataType.DOUBLE
    ]
    if values:
        elements = sum(int(v.const_value.size) for v in values if v.const_value is not None)
        yield Finding(
            rule="fp64-weights",
            severity="medium",
            where=clean(values[0].name) if len(values) == 1 else f"{len(values):,} tensors",
            evidence=f"{elements:,} parameters in 64-bit floating point",
            action="export in float32: half the size, more than twice the speed",
            confidence="exact",
        )


@finding_rule("duplicate-weights")
def duplicate_weights(evidence: Evidence) -> Iterator[Finding]:
    """Parameters stored more than once."""
    for names, elements in evidence.duplicates:
        yield Finding(
            rule="duplicate-weights",
            severity="low",
            where=", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else ""),
            evidence=f"{len(names)} tensors with the same {elements:,} elements",
            action="store them once and share the initializer",
            params=elements * (len(names) - 1),
            confidence="exact",
        )


@finding_rule("unused-initializers")
def unused_initializers(evidence: Evidence) -> Iterator[Finding]:
    """Initializers that no node reads."""
    unused = [
        value
        for value in evidence.model.ir_model.graph.initializers.values()
        if not value.uses() and not value.is_graph_output() and not is_parameter(value)
    ]
    elements = sum(int(v.const_value.size) for v in unused if v.const_value is not None)
    if unused:
        yield Finding(
            rule="unused-initializers",
            severity="low",
            where=clean(unused[0].name) if len(unused) == 1 else f"{len(unused):,} initializers",
            evidence=f"{elements:,} stored elements that no node reads",
            action="remove them from the file",
            confidence="exact",
        )


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


@finding_rule("not-recorded")
def not_recorded(evidence: Evidence) -> Iterator[Finding]:
    """Data was given, but the model could not be run."""
    if evidence.recording_error:
        yield Finding(
            rule="not-recorded",
            severity="high",
            where="recording",
            evidence=evidence.recording_error,
            action="the figures below rest on the weights alone; run the model elsewhere or replace the operator",
            confidence="exact",
        )


_UNCERTAIN = 0.1  # standard error over mean from which on a mean is called uncertain


@finding_rule("few-samples")
def few_samples(evidence: Evidence) -> Iterator[Finding]:
    """Too few samples to know the mean activations."""
    errors = {
        layer["name"]: layer["mean_activation"]["standard_error"] / layer["mean_activation"]["mean"]
        for layer in evidence.layers
        if layer["mean_activation"]
        and layer["mean_activation"].get("standard_error")
        and layer["mean_activation"]["mean"]
    }
    uncertain = {name: error for name, error in errors.items() if error > _UNCERTAIN}
    if uncertain and evidence.samples:
        name, worst = max(uncertain.items(), key=lambda item: item[1])
        needed = math.ceil(evidence.samples * (worst / _UNCERTAIN) ** 2)
        yield Finding(
            rule="few-samples",
            severity="low",
            where=name,
            evidence=f"the standard error of its neurons' mean activations is {worst:.0%} of them after "
            f"{evidence.samples:,} samples; above {_UNCERTAIN:.0%} in {len(uncertain)} of {len(errors)} layers",
            action=f"record about {needed:,} samples to bring it to {_UNCERTAIN:.0%}",
            confidence="measured",
        )


@finding_rule("unrecorded-layer")
def unrecorded_layer(evidence: Evidence) -> Iterator[Finding]:
    """Layers whose activation could not be recorded although the model ran."""
    for name, reason in evidence.unrecorded.items():
        yield Finding(
            rule="unrecorded-layer",
            severity="info",
            where=name,
            evidence=reason,
            action="its weights are not in the totals of criteria that need activations; look at magnitude instead",
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
