"""Parts of an initializer: what a graph cuts out of it by Split and Slice before an operator uses it.

PyTorch keeps the query, key and value projections of an attention in one parameter, and some exporters cut it apart
inside of the graph. Parts that do not overlap are layers of their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.layers.moves import MOVES, Unmoved
from wua_onnx.layers.sizes import Sizes
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]

CUTS = frozenset({"Slice", "Split"})
_MOST = 500  # parts of one initializer
_ELEMENTWISE = frozenset({"Cast", "DequantizeLinear", "Identity", "QuantizeLinear"})


@dataclass(frozen=True, slots=True)
class Part:
    """What is cut out of an initializer.

    Attributes:
        shape: of the initializer.
        kept: the indices along each of its axes that are in the part.
    """

    shape: tuple[int, ...]
    kept: tuple[range, ...]

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(map(len, self.kept))

    @property
    def label(self) -> str:
        """The part as Python writes it: `[0:64]`, `[:, 64:128]`."""
        texts = [
            ":" if len(r) == size and r.step == 1 else _text(r) for r, size in zip(self.kept, self.shape, strict=True)
        ]
        while texts and texts[-1] == ":":
            texts.pop()
        return f"[{', '.join(texts)}]"

    def of(self, array: Array) -> Array:
        """Return a view of the part of `array`, which has the shape of the initializer."""
        return array[tuple(slice(r.start, r.stop if r.stop >= 0 else None, r.step) for r in self.kept)]

    def overlaps(self, other: Part) -> bool:
        """Return whether some element is in both."""
        return all(map(_meet, self.kept, other.kept))


def _meet(a: range, b: range) -> bool:
    """Return whether some number is in both: it solves two congruences (Chinese remainders) between their ends."""
    step, other = abs(a.step), abs(b.step)
    common = math.gcd(step, other)
    times, odd = divmod(b.start - a.start, common)
    if odd:
        return False
    first = a.start + step * (times * pow(step // common, -1, other // common) % (other // common))
    low, high, period = max(min(a), min(b)), min(max(a), max(b)), math.lcm(step, other)
    return first + -((first - low) // period) * period <= high


def _text(kept: range) -> str:
    ends = f"{kept.start}:{kept.stop if kept.stop >= 0 else ''}"
    return ends if kept.step == 1 else f"{ends}:{kept.step}"


def cut(array: Array, node: NodeView, output: int) -> Array:
    """Return what a Split or a Slice makes of `array`, a view of it.

    Raises:
        Unmoved: where it cuts is not known.
    """
    return MOVES[node.op_type](node, output, [array], Sizes(node.model, 1).numbers_of(node))


def part_of(shape: tuple[int, ...], steps: Sequence[tuple[NodeView, int]]) -> Part | None:
    """Return the part of an initializer of `shape` that is left behind `steps`; None where all of it is.

    Args:
        shape: of the initializer.
        steps: operators, the first one first, and the number of the output of each that is used.

    Raises:
        Unmoved: where an operator cuts is not known, or what it cuts was reshaped before.
    """
    last = max((i for i, (node, _) in enumerate(steps) if node.op_type in CUTS), default=-1)
    kept = tuple(_kept(axis, shape, steps[: last + 1]) for axis in range(len(shape)))
    return Part(shape, kept) if kept != tuple(map(range, shape)) else None


def _kept(axis: int, shape: tuple[int, ...], steps: Sequence[tuple[NodeView, int]]) -> range:
    """Return the indices along `axis` that are left: their numbers, in an array of `shape` without memory, are cut."""
    along = [-1 if i == axis else 1 for i in range(len(shape))]
    numbers = np.broadcast_to(np.arange(shape[axis]).reshape(along), shape)
    for node, output in steps:
        try:
            numbers = _moved(numbers, node, output)
        except (ValueError, TypeError, IndexError, ZeroDivisionError) as error:
            raise Unmoved(f"{node.where} does not fit a weight of shape {list(shape)}") from error
    if not numbers.size:
        raise Unmoved("a part without elements")
    left = np.ravel(numbers[tuple(slice(None) if stride else 0 for stride in numbers.strides)])
    step = int(left[1] - left[0]) if left.size > 1 else 1
    return range(int(left[0]), int(left[-1]) + (1 if step > 0 else -1), step)


def _moved(numbers: Array, node: NodeView, output: int) -> Array:
    if node.op_type in CUTS:
        return cut(numbers, node, output)
    if node.op_type == "Transpose":
        return np.transpose(numbers, node.attr("perm"))
    if node.op_type in _ELEMENTWISE:
        return numbers
    raise Unmoved(f"cut into parts behind {node.where}")


def conflict(parts: Sequence[Part | None]) -> str | None:
    """Return why different `parts` of one initializer cannot be layers of their own; None where they can."""
    if len(parts) > _MOST:
        return f"more than {_MOST} parts of it are used"
    if len(parts) > 1 and None in parts:
        return "it is used both whole and in parts"
    for a, b in combinations([part for part in parts if part is not None], 2):
        if a.overlaps(b):
            return f"its parts {a.label} and {b.label} overlap"
    return None


__all__ = ["CUTS", "Part", "conflict", "cut", "part_of"]
