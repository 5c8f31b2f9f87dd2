"""The reductions that turn an activation into a few numbers per neuron.

onnxruntime's float32 reductions drift when they add many values in a row, so none of them averages more than
`_LONGEST` values of an image at once: a pooling of blocks comes first. Convolutional activations are averaged by
GlobalAveragePool, which stays in onnxruntime's blocked layout; mean|x| = 2·mean(relu(x)) − mean(x) needs no Abs there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.model.dims import Dim

Array: TypeAlias = np.ndarray[Any, Any]

_LONGEST = 2048  # values of one image averaged in a row
_AXES_AS_INPUT = 18  # opset from which a reduction takes its axes as an input
_POOLED_SIDES = range(2, 65)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tap:
    """One activation that is recorded.

    Attributes:
        value: the name of the activation tensor.
        dims: its dimensions; None for unknown ones.
        axis: along which neurons lie.
        sample_axis: along which samples lie; None where they cannot be told apart.
        non_negative: its values are never below 0.
        with_range: its extremes are recorded too.
    """

    value: str
    dims: tuple[Dim | None, ...]
    axis: int
    sample_axis: int | None
    non_negative: bool
    with_range: bool

    @property
    def reduced(self) -> tuple[int, ...]:
        """The axes averaged inside the graph."""
        return tuple(a for a in range(len(self.dims)) if a not in (self.axis, self.sample_axis))

    @property
    def fixed_positions(self) -> int | None:
        """Values averaged for each neuron and unit, where the graph alone tells; None otherwise."""
        sizes = [self.dims[axis] for axis in self.reduced]
        if not all(isinstance(size, int) for size in sizes):
            return None
        return int(np.prod([size for size in sizes if isinstance(size, int)], dtype=np.int64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Names of the graph outputs that a tap returns: means always, the others where asked for."""

    means: tuple[str, ...]
    shape: str | None
    largest: str | None
    smallest: str | None

    def names(self) -> list[str]:
        """Return every output to fetch."""
        return [*self.means, *(n for n in (self.shape, self.largest, self.smallest) if n is not None)]


class Builder:
    """Appends reductions to a graph (in place) and makes their results outputs."""

    def __init__(self, graph: ir.Graph, opset: int) -> None:
        self.graph, self.opset = graph, opset
        self._count = 0

    def build(self, tap: Tap, value: ir.Value) -> Outputs:
        """Return the names of the outputs that hold the statistics of `tap`."""
        source = value
        if value.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16):
            source = self._op("Cast", [value], to=ir.DataType.FLOAT)
        if tap.reduced and self._pools(tap, source):
            means = self._pooled(tap, source)
        else:
            absolute = source if tap.non_negative else self._op("Abs", [source])
            means = [self._reduce("ReduceMean", absolute, tap.reduced, tap)] if tap.reduced else [absolute]
        others = tuple(axis for axis in range(len(tap.dims)) if axis != tap.axis)
        extremes: list[ir.Value | None] = [None, None]
        if tap.with_range:
            extremes = [self._reduce(op, source, others, tap) for op in ("ReduceMax", "ReduceMin")]
        shape = self._op("Shape", [value]) if tap.fixed_positions is None else None
        names = [None if result is None else self._output(result) for result in (*extremes, shape)]
        return Outputs(
            means=tuple(self._output(mean) for mean in means), largest=names[0], smallest=names[1], shape=names[2]
        )

    def _pools(self, tap: Tap, source: ir.Value) -> bool:
        images = tap.sample_axis == 0 and tap.axis == 1 and len(tap.dims) in (3, 4, 5)
        return images and source.dtype == ir.DataType.FLOAT and self._blocks(tap) is not None

    def _blocks(self, tap: Tap) -> list[int] | None:
        """Return sides of pooling blocks that leave at most `_LONGEST` values; None where none divide evenly."""
        sizes = [size for size in tap.dims[2:] if isinstance(size, int)]
        if len(sizes) != len(tap.dims) - 2 or 0 in sizes:
            return None
        blocks = [1] * len(sizes)
        while np.prod([n // b for n, b in zip(sizes, blocks, strict=True)]) > _LONGEST:
            longest = max(range(len(sizes)), key=lambda i: sizes[i] // blocks[i])
            factor = next((s for s in _POOLED_SIDES if sizes[longest] // blocks[longest] % s == 0), None)
            if factor is None or blocks[longest] * factor > _LONGEST:
                return None
            blocks[longest] *= factor
        return blocks

    def _pooled(self, tap: Tap, source: ir.Value) -> list[ir.Value]:
        """Return [mean a] or, for signed values, [mean relu(a), mean a]."""
        parts = [source] if tap.non_negative else [self._op("Relu", [source]), source]
        blocks = self._blocks(tap) or []
        if any(side > 1 for side in blocks):
            parts = [self._op("AveragePool", [part], kernel_shape=blocks, strides=blocks) for part in parts]
        return [self._op("GlobalAveragePool", [part]) for part in parts]

    def _reduce(self, op: str, value: ir.Value, axes: Sequence[int], tap: Tap) -> ir.Value:
        """Average or take extremes over `axes`: one axis at a time from the last, where values are many."""
        sizes = [tap.dims[axis] for axis in axes]
        known = all(isinstance(size, int) for size in sizes)
        at_once = op != "ReduceMean" or len(axes) == 1
        if known and np.prod([size for size in sizes if isinstance(size, int)]) <= _LONGEST:
            at_once = True
        if at_once:
            return self._reduction(op, value, axes)
        for axis in sorted(axes, reverse=True):
            value = self._reduction(op, value, [axis])
        return value

    def _reduction(self, op: str, value: ir.Value, axes: Sequence[int]) -> ir.Value:
        if not axes:
            return value
        if self.opset < _AXES_AS_INPUT:
            return self._op(op, [value], axes=list(axes), keepdims=0)
        constant = self._op("Constant", [], value=ir.tensor(np.array(axes, dtype=np.int64)))
        return self._op(op, [value, constant], keepdims=0)

    def _op(self, op: str, inputs: Sequence[ir.Value], **attributes: Any) -> ir.Value:
        node = ir.node(op, inputs, {k: int(v) if k == "to" else v for k, v in attributes.items()})
        output = node.outputs[0]
        output.name = f"wua_tap_{self._count}"
        node.name = f"wua_tap_node_{self._count}"
        self._count += 1
        known = {"Shape": ir.DataType.INT64, "Constant": ir.DataType.INT64, "Cast": ir.DataType.FLOAT}
        dtype = known.get(op) or (inputs[0].dtype if inputs else None)
        if dtype is not None:
            output.dtype = dtype
        self.graph.append(node)
        return output

    def _output(self, value: ir.Value) -> str:
        assert value.name is not None
        if value not in self.graph.outputs:
            self.graph.outputs.append(value)
        return value.name
