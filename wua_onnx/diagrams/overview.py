"""A graph of any size -> at most a few dozen boxes: folded by module scope and by repetition, nothing lost unsaid.

Nodes come in file order, which is topological. Every box stands for a run of consecutive nodes, so the folded graph
has no cycle either, and which box a node is in needs no search.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from wua_onnx.diagrams.scopes import Block, blocks

LIMIT = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of the graph.

    Attributes:
        id: unique among the nodes.
        path: the module it came from, outermost first.
        op: its operator.
        label: its own name, or its operator where it has none.
        cost: its MACs; None where they are unknown.
    """

    id: str
    path: tuple[str, ...]
    op: str
    label: str
    cost: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A value that goes from one node to another, by their ids."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A run of nodes, `count` times the same block: `nodes` are the ids of all of them, in file order."""

    label: str
    nodes: tuple[str, ...]
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxEdge:
    """The edges between two boxes, by position: `count` of them; `label` where all have the same."""

    source: int
    target: int
    label: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The folded graph.

    Attributes:
        boxes: in file order; together they hold every node once.
        edges: between different boxes.
        folded: nodes that do not have a box of their own.
        inside: edges within one box.
        left_out: edges that begin or end at no node, or lead backwards.
    """

    boxes: tuple[Box, ...]
    edges: tuple[BoxEdge, ...]
    folded: int
    inside: int
    left_out: int


def fold(nodes: Sequence[Node], edges: Sequence[Edge], limit: int = LIMIT) -> Overview:
    """Return the graph in at most `limit` boxes.

    A graph that fits keeps every node. A larger one begins as its outermost modules, with runs of equal blocks
    folded into one box; then the largest boxes are opened, one after the other, as long as the result fits.

    Raises:
        ValueError: two nodes have the same id, or `limit` is below 1.
    """
    position = {node.id: index for index, node in enumerate(nodes)}
    if len(position) != len(nodes) or limit < 1:
        raise ValueError(f"overview: expected unique ids and a limit of 1 or more, got limit {limit}")
    if len(nodes) <= limit:
        boxes = tuple(Box(label=node.label, nodes=(node.id,)) for node in nodes)
    else:
        links = [
            (position[e.source], position[e.target]) for e in edges if e.source in position and e.target in position
        ]
        opened = _open(blocks(nodes, links, limit), limit)
        boxes = tuple(_box(block, nodes) for block in opened)
    owner = {node: index for index, box in enumerate(boxes) for node in box.nodes}
    shown, inside, left_out = _edges(edges, owner)
    return Overview(
        boxes=boxes,
        edges=shown,
        folded=sum(len(box.nodes) for box in boxes if len(box.nodes) > 1),
        inside=inside,
        left_out=left_out,
    )


def _open(start: Sequence[Block], limit: int) -> list[Block]:
    """Return the blocks after opening the largest ones while at most `limit` remain.

    Runs of repeated blocks (the first of them is then shown open) and blocks of free work come last, and are opened
    into half of the limit only.
    """
    shown = {block.start: block for block in start}
    waiting = [_priority(block) for block in start if block.children]
    heapq.heapify(waiting)
    while waiting:
        rank, _, at = heapq.heappop(waiting)
        block = shown[at]
        if len(shown) - 1 + len(block.children) > (limit // 2 if rank else limit):
            continue
        del shown[at]
        for child in block.children:
            shown[child.start] = child
            if child.children:
                heapq.heappush(waiting, _priority(child))
    return [shown[at] for at in sorted(shown)]


def _priority(block: Block) -> tuple[int, int, int]:
    return (2 if block.minor else int(block.count > 1), block.start - block.stop, block.start)


def _box(block: Block, nodes: Sequence[Node]) -> Box:
    members = nodes[block.start : block.stop]
    only = members[0] if len(members) == 1 else None
    named = only is not None and (only.label != only.op or not block.label)
    label = only.label if only is not None and named else block.label
    return Box(label=label, nodes=tuple(node.id for node in members), count=block.count)


def _edges(edges: Sequence[Edge], owner: dict[str, int]) -> tuple[tuple[BoxEdge, ...], int, int]:
    """Return the edges between boxes, how many lie within one, and how many cannot be shown."""
    labels: dict[tuple[int, int], list[str]] = {}
    inside = left_out = 0
    for edge in edges:
        ends = owner.get(edge.source), owner.get(edge.target)
        if ends[0] is None or ends[1] is None or ends[0] > ends[1]:
            left_out += 1
        elif ends[0] == ends[1]:
            inside += 1
        else:
            labels.setdefault((ends[0], ends[1]), []).append(edge.label)
    shown = tuple(
        BoxEdge(source=a, target=b, label=_common(names), count=len(names)) for (a, b), names in labels.items()
    )
    return shown, inside, left_out


def _common(labels: Sequence[str]) -> str:
    return labels[0] if len(set(labels)) == 1 else f"{len(labels):,} values"
