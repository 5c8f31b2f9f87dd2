"""How far what onnxruntime computes may be from what the framework does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

Array: TypeAlias = np.ndarray[Any, Any]

# Of the largest absolute value of an output, by the narrowest type in which the model computes: of float16 with its
# mantissa of 11 bits, bfloat16 with 8, steps of 8 bits. Measured: 1e-3, 2e-3 for 2 to 50 dense layers, 2e-3, 1e-2 for a
# small BERT, 5e-2, 2e-1 for a MobileNetV2; with steps chosen while the model runs 6e-3 for 5 dense layers, 2e-2 for two
# blocks of a transformer. How roundings add up depends on the network, so beyond the first column the framework's own
# rounding is measured, where it can compute otherwise as well; the second is for all others.
_TIGHT = {ir.DataType.BFLOAT16: 1e-2, ir.DataType.FLOAT16: 2e-3, ir.DataType.INT8: 1e-2}
_LOOSE = {ir.DataType.BFLOAT16: 5e-2, ir.DataType.FLOAT16: 1e-2, ir.DataType.INT8: 5e-2}
TOLERANCE = 1e-3
ROUNDINGS = 3  # how far two computations that round differently may be apart, in roundings of one
# An output in steps of 8 bits: measured 0 for dense layers, convolutions and a MobileNetV2.
_STEPS = 2


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest absolute difference of two arrays, and what it is to be measured by."""

    difference: float
    largest: float


def gap(expected: Array, got: Array) -> Gap:
    """Return how far `got` is from `expected`, of the same shape; NaN is equal to NaN."""
    if expected.size == 0 or expected.dtype.kind not in "biufc":
        return Gap(0.0, 0.0)
    wanted, found = expected.astype(np.float64), got.astype(np.float64)
    same = (wanted == found) | (np.isnan(wanted) & np.isnan(found))
    with np.errstate(invalid="ignore"):
        gaps = np.where(same, 0.0, np.abs(wanted - found))
    difference = float(np.where(np.isnan(gaps), np.inf, gaps).max())
    return Gap(difference, float(np.max(np.abs(wanted), initial=0.0, where=np.isfinite(wanted))))


def narrowest(model: ir.Model) -> ir.DataType | None:
    """Return bfloat16 or float16 where anything in the model is of that type, int8 where it is quantized."""
    quantizing = ("QuantizeLinear", "DynamicQuantizeLinear")
    if any(node.op_type in quantizing for node in model.graph.all_nodes()):
        return ir.DataType.INT8
    found = {value.dtype for graph in model.graphs() for value in graph.initializers.values()}
    found |= {output.dtype for node in model.graph.all_nodes() for output in node.outputs}
    found |= {value.dtype for value in model.graph.inputs}
    return next((dtype for dtype in _LOOSE if dtype in found), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How coarsely a model computes.

    Attributes:
        narrow: what `narrowest` returned.
        measured: whether the framework's own rounding can be measured.
        dynamic: how many operators choose their steps of 8 bits while the model runs, which frameworks do each in
            its own way: what they round adds up as independent errors do.
    """

    narrow: ir.DataType | None
    measured: bool
    dynamic: int = 0

    @property
    def relative(self) -> float:
        """The tolerance, of the largest absolute value."""
        if self.narrow is None:
            return TOLERANCE
        return (_TIGHT if self.measured else _LOOSE).get(self.narrow, TOLERANCE) * math.sqrt(max(1, self.dynamic))

    def allowed(self, found: Gap, expected: Array, step: float | None) -> float:
        """Return how far an output may be off before anything is measured.

        Whole numbers are exact, except those that a narrow model computes: classes it finds, which another rounding
        may change, and values in steps of 8 bits.

        Args:
            found: how far it is off.
            expected: what the framework made.
            step: the step in which this output is rounded, where it is.
        """
        if self.narrow is ir.DataType.INT8 and expected.dtype in (np.int8, np.uint8):
            return float(_STEPS)
        if expected.dtype.kind in "biu":
            return 0.0 if self.narrow is None else found.largest
        if self.measured and step is not None:
            return _STEPS * step
        return self.relative * found.largest


def precision_of(model: ir.Model, narrow: ir.DataType | None, measured: bool) -> Precision:
    """Return how coarsely a model computes whose narrowest type is `narrow`."""
    dynamic = sum(node.op_type == "DynamicQuantizeLinear" for node in model.graph.all_nodes())
    return Precision(narrow=narrow, measured=measured, dynamic=dynamic)


def steps(model: ir.Model) -> list[float | None]:
    """Return the step in which each output is rounded, where its last operator is a DequantizeLinear with one scale."""
    found: list[float | None] = []
    for output in model.graph.outputs:
        node = output.producer()
        scale = node.inputs[1] if node is not None and node.op_type == "DequantizeLinear" else None
        known = scale.const_value if scale is not None else None
        found.append(float(known.numpy().item()) if known is not None and known.size == 1 else None)
    return found
