"""Which layer of one audit is which of the other: by name, then by shape, then by place."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Layer: TypeAlias = Mapping[str, Any]  # of an audit's JSON
Reason: TypeAlias = Literal["name", "shape", "place"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Positions of one layer in both audits, and what they were matched by."""

    before: int
    after: int
    by: Reason


def match(before: Sequence[Layer], after: Sequence[Layer]) -> tuple[Pair, ...]:
    """Return the layers that belong together, in the order of `before`; each is in one pair at most.

    First those of the same name and kind. Of the rest, those of the same kind and shape: the first with the first, the
    second with the second. Then, where the layers left over between two matched ones are of the same kinds in the same
    order, those at the same place: layers that were renamed and made narrower.
    """
    found = [Pair(i, j, "name") for i, j in _in_order(_names(before), _names(after))]
    one, two = _left(found, before, after)
    shapes = [[_shape(side[i]) for i in left] for side, left in ((before, one), (after, two))]
    found += [Pair(one[i], two[j], "shape") for i, j in _in_order(*shapes)]
    found += [Pair(i, j, "place") for i, j in _at_the_same_place(found, before, after)]
    return tuple(sorted(found, key=lambda pair: pair.before))


def _names(layers: Sequence[Layer]) -> list[Any]:
    return [(layer["name"], layer["kind"]) for layer in layers]


def _shape(layer: Layer) -> Any:
    return layer["kind"], tuple(layer["weight_shape"])


def _in_order(one: Sequence[Any], two: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Yield positions of equal keys: the first with the first of that key, the second with the second."""
    waiting: dict[Any, deque[int]] = defaultdict(deque)
    for index, key in enumerate(two):
        waiting[key].append(index)
    for index, key in enumerate(one):
        if waiting[key]:
            yield index, waiting[key].popleft()


def _left(found: Sequence[Pair], before: Sequence[Layer], after: Sequence[Layer]) -> tuple[list[int], list[int]]:
    """Return the positions that are in no pair yet."""
    taken = {pair.before for pair in found}, {pair.after for pair in found}
    return [i for i in range(len(before)) if i not in taken[0]], [j for j in range(len(after)) if j not in taken[1]]


def _at_the_same_place(
    found: Sequence[Pair], before: Sequence[Layer], after: Sequence[Layer]
) -> Iterator[tuple[int, int]]:
    """Yield the layers left over that stand between the same matched layers, where their kinds agree one by one."""
    starts = [-1, *(pair.before for pair in found)], [-1, *(pair.after for pair in found)]
    gaps = [_gaps(left, start) for left, start in zip(_left(found, before, after), starts, strict=True)]
    partner = {-1: -1, **{pair.before: pair.after for pair in found}}
    for start, one in gaps[0].items():
        two = gaps[1].get(partner[start], [])
        kinds = [
            [(side[i]["kind"], len(side[i]["weight_shape"])) for i in at] for side, at in ((before, one), (after, two))
        ]
        if kinds[0] == kinds[1] and (found or _shares_a_size(before, after, one, two)):
            yield from zip(one, two, strict=True)


def _gaps(left: Sequence[int], starts: Sequence[int]) -> dict[int, list[int]]:
    """Return the positions `left` by the matched position that they follow."""
    gaps: dict[int, list[int]] = defaultdict(list)
    bounds = deque(sorted(starts))
    start = bounds.popleft()
    for index in left:
        while bounds and bounds[0] < index:
            start = bounds.popleft()
        gaps[start].append(index)
    return gaps


def _shares_a_size(before: Sequence[Layer], after: Sequence[Layer], one: Sequence[int], two: Sequence[int]) -> bool:
    """Return whether any two layers at the same place share a size, as the first and last of a narrowed network do."""
    pairs = zip(one, two, strict=True)
    return any(set(before[i]["weight_shape"]) & set(after[j]["weight_shape"]) for i, j in pairs)
