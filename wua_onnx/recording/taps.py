"""What is recorded of one activation, and how its axes are averaged.

onnxruntime adds up in single precision and drifts (an average of a million ones comes out 1.4 % low), so no reduction
averages more than `LONGEST` values at once: longer axes are averaged in blocks first, and the batches are added up in
double precision outside of the graph. The sample axis is kept wherever it can be told apart, so that the sums do not
depend on how the data is cut into batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.quantization import Quantization
from wua_onnx.layers.side import Side
from wua_onnx.model.dims import Dim, divides

LONGEST = 800  # values averaged in a row in single precision; equal ones are then off by 9e-6 at most
_POOLED_SIDES = range(2, 65)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """One activation that is recorded.

    Attributes:
        value: the activation tensor.
        dims: its dimensions; None for unknown ones.
        axes: along which neurons lie.
        sample_axis: along which samples lie; None where they cannot be told apart.
        non_negative: its values are never below 0.
        statistics: what is recorded, of "mean" (of |a|), "square" (mean of a²), "firing" (share of a > 0), "range"
            (smallest and largest a), "histogram" (of a, in powers of 2), "map" (mean of |a| at every position of an
            image, say); "lookups" for the rows that an index names.
        precise: its means are taken in double precision.
        lengths: how many positions of each sample are valid, from the model itself; None where all are.
        masked_axis: the axis along which a mask tells valid positions from padded ones; None where none does.
        joined: samples and positions lie along one axis, `masked_axis`.
        quantization: what the integers of the activation stand for; None where it holds real numbers.
        side: computes the activation, which is no value of the model; None where the model does.
    """

    value: ir.Value
    dims: tuple[Dim | None, ...]
    axes: tuple[int, ...]
    sample_axis: int | None
    non_negative: bool = False
    statistics: frozenset[str] = frozenset({"mean"})
    precise: bool = False
    lengths: ir.Value | None = None
    masked_axis: int | None = None
    joined: bool = False
    quantization: Quantization | None = None
    side: Side | None = None

    @property
    def inside(self) -> ir.Value:
        """A value of the model that is in the graph where the activation is computed."""
        first = None if self.side is None else self.side.inputs[0]
        return self.value if first is None else first

    @property
    def place(self) -> tuple[ir.Value, tuple[int, ...]]:
        """What is recorded, however it is done."""
        return self.value, self.axes

    @property
    def reduced(self) -> tuple[int, ...]:
        """The axes averaged inside the graph."""
        return tuple(a for a in range(len(self.dims)) if a not in self.axes and a != self.sample_axis)

    @property
    def kept(self) -> tuple[int, ...]:
        """The axes left, in the order of the tensor."""
        return tuple(a for a in range(len(self.dims)) if a in self.axes or a == self.sample_axis)

    @property
    def has_map(self) -> bool:
        """Whether positions are the same for every sample, so that a mean over samples has a meaning."""
        sizes = [self.dims[axis] for axis in self.reduced]
        return "map" in self.statistics and self.sample_axis is not None and len(sizes) > 0 and _all_known(sizes)

    @property
    def fixed_positions(self) -> int | None:
        """Values averaged for each neuron and unit, where the graph alone tells; None otherwise."""
        sizes = [self.dims[axis] for axis in self.reduced]
        if not _all_known(sizes):
            return None
        return prod(size for size in sizes if isinstance(size, int))

    @property
    def blocks(self) -> tuple[int, ...]:
        """For each reduced axis, how many values are averaged first: 1, or a divisor of a long one."""
        return tuple(_block(self.dims, axis) for axis in self.reduced)

    def is_too_long(self, lengths: Sequence[int | None]) -> bool:
        """Return whether single precision drifts where the reduced axes have `lengths` (None: not known yet)."""
        if self.precise or not any(n is not None and n > LONGEST for n in lengths):
            return False
        pairs = zip(lengths, self.blocks, strict=True)
        return any(n is not None and n // block > LONGEST for n, block in pairs)


def _all_known(sizes: Sequence[Dim | None]) -> bool:
    return all(isinstance(size, int) for size in sizes)


def _block(dims: Sequence[Dim | None], axis: int) -> int:
    """Return the largest divisor of a dimension up to LONGEST, where it may be long; 1 where it has none to use."""
    size = dims[axis]
    if size is None or (isinstance(size, int) and size <= LONGEST):
        return 1
    if not all(isinstance(dim, int) for dim in dims[axis + 1 :]):
        return 1  # the shape of the blocks could not be written down
    return next((block for block in range(LONGEST, 1, -1) if divides(block, size) is not None), 1)


def pooling(tap: Tap) -> list[int] | None:
    """Return the sides of blocks to pool first, so that no pooling averages more than LONGEST values.

    None where the activation is no batch of images, or where no blocks divide it evenly.
    """
    sizes = [size for size in tap.dims[2:] if isinstance(size, int)]
    if tap.sample_axis != 0 or tap.axes != (1,) or not 1 <= len(sizes) <= 3 or len(sizes) != len(tap.dims) - 2:
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
