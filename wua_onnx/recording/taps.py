"""The reductions that turn an activation into a few numbers per neuron.

onnxruntime's float32 reductions drift when they add many values in a row (1e-4 over 100,000 equal ones), so none of
them adds more than `LONGEST`: long axes are averaged in blocks first, and in double precision where no block divides
them. Convolutional activations are averaged by GlobalAveragePool, which stays in onnxruntime's blocked layout;
mean|x| = 2·mean(relu(x)) − mean(x) needs no Abs there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.model.dims import Dim, divides
from wua_onnx.model.symbols import all_values

Array: TypeAlias = np.ndarray[Any, Any]

LONGEST = 800  # values averaged in a row in single precision; equal ones are then off by 9e-6 at most
_AXES_AS_INPUT = 18  # opset from which a reduction takes its axes as an input
_POOLED_SIDES = range(2, 65)
_HALVES = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """One activation that is recorded.

    Attributes:
        value: the name of the activation tensor.
        dims: its dimensions; None for unknown ones.
        axis: along which neurons lie.
        sample_axis: along which samples lie; None where they cannot be told apart.
        non_negative: its values are never below 0.
        with_range: its extremes are recorded too.
        precise: its means are taken in double precision.
    """

    value: str
    dims: tuple[Dim | None, ...]
    axis: int
    sample_axis: int | None
    non_negative: bool
    with_range: bool
    precise: bool = False

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

    @property
    def blocks(self) -> tuple[int, ...]:
        """For each reduced axis, how many values are averaged first: 1, or a divisor of a long one."""
        return tuple(_block(self.dims, axis) for axis in self.reduced)

    def is_too_long(self, lengths: Sequence[int | None]) -> bool:
        """Return whether single precision drifts where the reduced axes have `lengths` (None: not known yet)."""
        pairs = zip(lengths, self.blocks, strict=True)
        return not self.precise and any(n is not None and n // block > LONGEST for n, block in pairs)


def _block(dims: Sequence[Dim | None], axis: int) -> int:
    """Return the largest divisor of a dimension up to LONGEST, where it may be long; 1 where it has none to use."""
    size = dims[axis]
    if size is None or (isinstance(size, int) and size <= LONGEST):
        return 1
    if not all(isinstance(dim, int) for dim in dims[axis + 1 :]):
        return 1  # the shape of the blocks could not be written down
    return next((block for block in range(LONGEST, 1, -1) if divides(block, size) is not None), 1)


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
    """Appends reductions to a model's graph (in place) and makes their results outputs."""

    def __init__(self, model: ir.Model, opset: int) -> None:
        self.graph, self.opset = model.graph, opset
        names = {value.name or "" for value in all_values(model)} | {
            node.name or "" for node in model.graph.all_nodes()
        }
        self._prefix = "wua_tap"
        while any(name.startswith(self._prefix) for name in names):
            self._prefix += "_"
        self._count = 0

    def build(self, tap: Tap, value: ir.Value) -> Outputs:
        """Return the names of the outputs that hold the statistics of `tap`."""
        source = self._cast(value, ir.DataType.FLOAT) if value.dtype in _HALVES else value
        extremes: list[ir.Value | None] = [None, None]
        if tap.with_range:
            others = tuple(axis for axis in range(len(tap.dims)) if axis != tap.axis)
            extremes = [self._reduction(op, source, others) for op in ("ReduceMax", "ReduceMin")]
        shape = self._op("Shape", [value]) if tap.fixed_positions is None else None
        names = [None if result is None else self._output(result) for result in (*extremes, shape)]
        means = tuple(self._output(mean) for mean in self._means(tap, source))
        return Outputs(means=means, largest=names[0], smallest=names[1], shape=names[2])

    def _means(self, tap: Tap, source: ir.Value) -> list[ir.Value]:
        """Return [mean |a|], or [mean relu(a), mean a]."""
        sides = _pooling(tap) if source.dtype == ir.DataType.FLOAT and not tap.precise else None
        if sides is not None:
            return self._pooled(tap, source, sides)
        absolute = source if tap.non_negative else self._op("Abs", [source])
        if not tap.reduced:
            return [absolute]
        lengths = [size if isinstance(size, int) else None for size in (tap.dims[axis] for axis in tap.reduced)]
        if not tap.precise and not tap.is_too_long(lengths):
            return [self._mean(absolute, tap)]
        return [self._reduction("ReduceMean", self._cast(absolute, ir.DataType.DOUBLE), tap.reduced)]

    def _pooled(self, tap: Tap, source: ir.Value, sides: list[int]) -> list[ir.Value]:
        parts = [source] if tap.non_negative else [self._op("Relu", [source]), source]
        if any(side > 1 for side in sides):
            parts = [self._op("AveragePool", [part], kernel_shape=sides, strides=sides) for part in parts]
        return [self._op("GlobalAveragePool", [part]) for part in parts]

    def _mean(self, value: ir.Value, tap: Tap) -> ir.Value:
        """Average over the reduced axes: at once where values are few, else one axis after the other, in blocks."""
        if tap.fixed_positions is not None and tap.fixed_positions <= LONGEST:
            return self._reduction("ReduceMean", value, tap.reduced)
        dims = list(tap.dims)
        for axis, block in sorted(zip(tap.reduced, tap.blocks, strict=True), reverse=True):
            if block > 1:
                shape = [0] * axis + [-1, block] + [dim if isinstance(dim, int) else -1 for dim in dims[axis + 1 :]]
                value = self._op("Reshape", [value, self._integers(shape)])
                value = self._reduction("ReduceMean", value, [axis + 1])
            value = self._reduction("ReduceMean", value, [axis])
            del dims[axis]
        return value

    def _reduction(self, op: str, value: ir.Value, axes: Sequence[int]) -> ir.Value:
        if not axes:
            return value
        if self.opset < _AXES_AS_INPUT:
            return self._op(op, [value], axes=list(axes), keepdims=0)
        return self._op(op, [value, self._integers(axes)], keepdims=0)

    def _integers(self, numbers: Sequence[int]) -> ir.Value:
        return self._op("Constant", [], value=ir.tensor(np.array(numbers, dtype=np.int64)))

    def _cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        if value.dtype == dtype:
            return value
        result = self._op("Cast", [value], to=int(dtype))
        result.dtype = dtype
        return result

    def _op(self, op: str, inputs: Sequence[ir.Value], **attributes: Any) -> ir.Value:
        node = ir.node(op, inputs, attributes)
        output = node.outputs[0]
        output.name = f"{self._prefix}_{self._count}"
        node.name = f"{self._prefix}_node_{self._count}"
        self._count += 1
        dtype = ir.DataType.INT64 if op in ("Shape", "Constant") else inputs[0].dtype
        if dtype is not None:
            output.dtype = dtype
        self.graph.append(node)
        return output

    def _output(self, value: ir.Value) -> str:
        assert value.name is not None
        if value not in self.graph.outputs:
            self.graph.outputs.append(value)
        return value.name


def _pooling(tap: Tap) -> list[int] | None:
    """Return the sides of blocks to pool first, so that no pooling averages more than LONGEST values.

    None where the activation is no batch of images, or where no blocks divide it evenly.
    """
    sizes = [size for size in tap.dims[2:] if isinstance(size, int)]
    if tap.sample_axis != 0 or tap.axis != 1 or not 1 <= len(sizes) <= 3 or len(sizes) != len(tap.dims) - 2:
        return None
    if 0 in sizes:
        return None
    sides, left = [1] * len(sizes), list(sizes)
    total = int(np.prod(sizes))
    # About as many values in a block as blocks: both must be short, and small blocks cost more.
    while np.prod(left) > LONGEST or (total > LONGEST and 4 * np.prod(sides) ** 2 < total):
        room = LONGEST // int(np.prod(sides))
        factors = [
            (-n, side, i) for i, n in enumerate(left) for side in _POOLED_SIDES if side <= room and n % side == 0
        ]
        if not factors:
            break
        _, side, axis = min(factors)  # of the longest axis the smallest: blocks near a square are read the fastest
        sides[axis] *= side
        left[axis] //= side
    return sides if np.prod(left) <= LONGEST and np.prod(sides) <= LONGEST else None
