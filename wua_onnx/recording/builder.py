"""Reductions placed in a graph: what a tap becomes.

Abs, ReduceL1 and ReduceMean leave the blocked layout in which onnxruntime keeps images (`layout.py`). Poolings and
depthwise convolutions stay in it, and mean|x| = 2·mean(relu(x)) − mean(x) needs no Abs there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.side import graph_of
from wua_onnx.model.symbols import all_values
from wua_onnx.recording.layout import block_sides, is_blocked, needs_convolution
from wua_onnx.recording.masks import Masks
from wua_onnx.recording.taps import LONGEST, Tap, pooling

Array: TypeAlias = np.ndarray[Any, Any]

_AXES_AS_INPUT = 18  # opset from which a reduction takes its axes as an input
_NO_ROW = -(2**40)  # stands for the row that a padded position looks up
_HALVES = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


@dataclass(slots=True, kw_only=True)
class Results:
    """What a tap computes.

    Attributes:
        means: mean |a|, or mean relu(a) and mean a; empty where not asked for.
        square, firing: mean a², share of a > 0.
        largest, smallest: extremes over everything but the neurons.
        shape: of the activation, where the graph does not tell how many values were averaged.
        counts: how many positions of each unit are valid; beside means over all positions, padded ones as zeros.
        values: the whole activation, or the rows looked up.
        map: mean |a| over the samples at every position.
        summed: the averages are sums, and `counts` says of how many values: the tap is inside of a branch or a loop.
    """

    means: tuple[ir.Value, ...] = ()
    square: ir.Value | None = None
    firing: ir.Value | None = None
    largest: ir.Value | None = None
    smallest: ir.Value | None = None
    shape: ir.Value | None = None
    counts: ir.Value | None = None
    values: ir.Value | None = None
    map: ir.Value | None = None
    summed: bool = False


class Builder:
    """Adds operators to a graph of a model, in place; every name is new to the model."""

    def __init__(self, model: ir.Model, opset: int) -> None:
        self.graph, self.opset = model.graph, opset
        names = {value.name or "" for value in all_values(model)} | {
            node.name or "" for node in model.graph.all_nodes()
        }
        self._prefix = "wua_tap"
        while any(name.startswith(self._prefix) for name in names):
            self._prefix += "_"
        self._count = 0

    def op(
        self, op: str, inputs: Sequence[ir.Value | None], graph: ir.Graph | None = None, **attributes: Any
    ) -> ir.Value:
        """Append an operator to `graph` (that of the first input's producer by default) and return its result."""
        node = ir.node(op, inputs, attributes)
        output = node.outputs[0]
        output.name = self.name()
        node.name = f"{output.name}_node"
        first = inputs[0] if inputs else None
        dtype = ir.DataType.INT64 if op in ("Shape", "Constant") else first.dtype if first is not None else None
        if dtype is not None:
            output.dtype = dtype
        where = graph if graph is not None else graph_of(first) if first is not None else None
        (where if where is not None else self.graph).append(node)
        return output

    def name(self) -> str:
        """Return a name that is new to the model."""
        self._count += 1
        return f"{self._prefix}_{self._count - 1}"

    def constant(self, array: Array, graph: ir.Graph | None = None) -> ir.Value:
        """Return a Constant."""
        value: ir.Value = self.op("Constant", [], graph, value=ir.tensor(array))
        value.dtype = ir.DataType.from_numpy(array.dtype)
        return value

    def integers(self, numbers: Sequence[int], graph: ir.Graph | None = None) -> ir.Value:
        """Return a Constant of int64."""
        return self.constant(np.array(numbers, dtype=np.int64), graph)

    def cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        """Return `value` as `dtype`."""
        if value.dtype == dtype:
            return value
        result: ir.Value = self.op("Cast", [value], to=int(dtype))
        result.dtype = dtype
        return result

    def dequantized(self, value: ir.Value, scale: ir.Value, zero: ir.Value | None) -> ir.Value:
        """Return the real numbers that the integers `value` stand for."""
        result: ir.Value = self.op("DequantizeLinear", [value, scale, zero])
        result.dtype = scale.dtype or ir.DataType.FLOAT
        return result

    def reduction(self, op: str, value: ir.Value, axes: Sequence[int], keepdims: int = 0) -> ir.Value:
        """Return `value` reduced over `axes`."""
        if not axes:
            return value
        # ReduceSum took its axes as an input before the others did.
        if self.opset < (13 if op == "ReduceSum" else _AXES_AS_INPUT):
            return self.op(op, [value], axes=list(axes), keepdims=keepdims)
        return self.op(op, [value, self.integers(axes, graph_of(value))], keepdims=keepdims)

    def build(self, tap: Tap, value: ir.Value, lengths: ir.Value | None, masks: Masks | None) -> Results:
        """Return what `tap` computes of `value`, in the graph of `value`.

        Args:
            tap: what is recorded.
            value: the activation, in the model that is built on.
            lengths: how many positions of each sample are valid, likewise; None where all are.
            masks: the mask, where the tap has a masked axis.
        """
        results = Results()
        if "lookups" in tap.statistics:
            rows = self.cast(value, ir.DataType.INT64)
            results.values = self._valid(tap, rows, masks, _NO_ROW)
            return results
        source = self.cast(value, ir.DataType.FLOAT) if value.dtype in _HALVES else value
        masked = self._valid(tap, source, masks, 0.0)
        if "range" in tap.statistics:
            others = tuple(axis for axis in range(len(tap.dims)) if axis not in tap.axes)
            results.largest = self.reduction("ReduceMax", self._valid(tap, source, masks, -np.inf), others)
            results.smallest = self.reduction("ReduceMin", self._valid(tap, source, masks, np.inf), others)
        if "mean" in tap.statistics:
            results.means = self._means(tap, masked)
        if "square" in tap.statistics:
            results.square = self._mean(tap, self.op("Mul", [masked, masked]))
        if "firing" in tap.statistics:
            zero = self.cast(
                self.constant(np.zeros((), np.float32), graph_of(masked)), masked.dtype or ir.DataType.FLOAT
            )
            above = self.op("Greater", [masked, zero])
            above.dtype = ir.DataType.BOOL
            results.firing = self._mean(tap, self.cast(above, ir.DataType.FLOAT))
        if "histogram" in tap.statistics:
            results.values = self._valid(tap, source, masks, np.nan)
        if tap.has_map and tap.sample_axis is not None and tap.masked_axis is None:
            absolute = masked if tap.non_negative else self.op("Abs", [masked])
            results.map = self.reduction("ReduceMean", absolute, [tap.sample_axis])
        if tap.fixed_positions is None:
            results.shape = self.op("Shape", [value])
        if lengths is not None:
            results.counts = self.cast(lengths, ir.DataType.INT64)
        elif masks is not None and tap.masked_axis is not None:
            results.counts = masks.counts(self, tap)
        return results

    def _valid(self, tap: Tap, source: ir.Value, masks: Masks | None, other: float) -> ir.Value:
        """Return `source` with `other` at padded positions."""
        if masks is None or tap.masked_axis is None or tap.lengths is not None:
            return source
        return masks.kept(self, tap, source, other)

    def _means(self, tap: Tap, source: ir.Value) -> tuple[ir.Value, ...]:
        """Return mean |a|, or mean relu(a) and mean a where images stay in onnxruntime's own layout so."""
        if tap.non_negative or self._pooled_sides(tap, source) is None:
            absolute = source if tap.non_negative else self.op("Abs", [source])
            return (self._mean(tap, absolute),)
        return self._mean(tap, self.op("Relu", [source])), self._mean(tap, source)

    def _pooled_sides(self, tap: Tap, source: ir.Value) -> list[int] | None:
        """Return the sides of blocks to pool; None where poolings have no advantage over reductions."""
        return pooling(tap) if source.dtype == ir.DataType.FLOAT and not tap.precise and is_blocked(tap.value) else None

    def _mean(self, tap: Tap, value: ir.Value) -> ir.Value:
        """Average over the reduced axes: at once where values are few, else one axis after the other, in blocks."""
        sides = self._pooled_sides(tap, value)
        if sides is not None:
            return self._pooled(tap, value, sides)
        lengths = [size if isinstance(size, int) else None for size in (tap.dims[axis] for axis in tap.reduced)]
        if not tap.reduced:
            return value
        if tap.precise or tap.is_too_long(lengths):
            return self.reduction("ReduceMean", self.cast(value, ir.DataType.DOUBLE), tap.reduced)
        return self._mean_in_blocks(tap, value)

    def _pooled(self, tap: Tap, value: ir.Value, sides: Sequence[int]) -> ir.Value:
        """Average over an image: blocks first where it is large, then the blocks."""
        channels, sizes = tap.dims[1], [size for size in tap.dims[2:] if isinstance(size, int)]
        if isinstance(channels, int) and needs_convolution(channels, sizes):
            sides = block_sides(sizes)
            kernel = np.full((channels, 1, *sides), 1 / np.prod(sides), np.float32)
            inputs = [value, self.constant(kernel, graph_of(value))]
            value = self.op("Conv", inputs, kernel_shape=sides, strides=sides, group=channels)
        elif any(side > 1 for side in sides):
            value = self.op("AveragePool", [value], kernel_shape=sides, strides=sides)
        pooled: ir.Value = self.op("GlobalAveragePool", [value])
        return pooled

    def _mean_in_blocks(self, tap: Tap, value: ir.Value) -> ir.Value:
        if tap.fixed_positions is not None and tap.fixed_positions <= LONGEST:
            return self.reduction("ReduceMean", value, tap.reduced)
        dims = list(tap.dims)
        for axis, block in sorted(zip(tap.reduced, tap.blocks, strict=True), reverse=True):
            if block > 1:
                shape = [0] * axis + [-1, block] + [dim if isinstance(dim, int) else -1 for dim in dims[axis + 1 :]]
                value = self.op("Reshape", [value, self.integers(shape, graph_of(value))])
                value = self.reduction("ReduceMean", value, [axis + 1])
            value = self.reduction("ReduceMean", value, [axis])
            del dims[axis]
        return value
