"""Rules about what is stored: numbers that are none, twice as wide as needed, twice, or in vain."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.cost.memory import is_parameter, parameter_values
from wua_onnx.findings.registry import Evidence, Finding, finding_rule


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
