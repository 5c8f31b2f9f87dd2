"""Edges that would cross much of a drawing -> pairs of labelled stubs: long edges are slow to lay out and to follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_RANKS = 12

Ends = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """Long edges that leave one box: `mark` stands at both ends, `targets` are positions in the list of edges."""

    mark: int
    source: int
    edges: tuple[int, ...]


def long_edges(boxes: int, edges: Sequence[Ends], most: int = MOST_RANKS) -> tuple[Stub, ...]:
    """Return the edges that span more than `most` ranks, by the box they leave.

    Args:
        boxes: how many there are.
        edges: their ends as positions of boxes; those that lead backwards or to themselves are never long.
        most: ranks that an edge may span.
    """
    ranks = _ranks(boxes, edges)
    found: dict[int, list[int]] = {}
    for index, (source, target) in enumerate(edges):
        if ranks[target] - ranks[source] > most:
            found.setdefault(source, []).append(index)
    return tuple(Stub(mark=i, source=source, edges=tuple(of)) for i, (source, of) in enumerate(found.items(), start=1))


def _ranks(boxes: int, edges: Sequence[Ends]) -> list[int]:
    """Return the rank of each box: below all that feed it; what nothing feeds stands just above its first reader."""
    forward = sorted((source, target) for source, target in edges if source < target)
    ranks = [0] * boxes
    for source, target in forward:
        ranks[target] = max(ranks[target], ranks[source] + 1)
    fed = {target for _, target in forward}
    readers: dict[int, int] = {}
    for source, target in forward:
        if source not in fed:
            readers[source] = min(readers.get(source, ranks[target]), ranks[target])
    for source, rank in readers.items():
        ranks[source] = rank - 1
    return ranks
