"""A graph of any size -> at most a few dozen boxes: folded by module scope and by repetition, nothing lost unsaid.

Nodes come in file order, which is topological. Every box stands for a run of consecutive nodes, so the folded graph
has no cycle either, and which box a node is in needs no search.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from wua_onnx.diagrams.scopes import Block, blocks

LIMIT = 60
_ROOM_FOR_ENDS = 5  # inputs may take up a fifth of the boxes, and so may outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of the graph.

    Attributes:
        id: unique among the nodes.
        path: the module it came from, outermost first.
        op: its operator.
        label: its own name, or its operator where it has none.
        cost: its MACs; None where they are unknown.
        end: whether it is no node but what stands before or after all of them: an input or an output.
    """

    id: str
    path: tuple[str, ...]
    op: str
    label: str
    cost: int | None = None
    end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A value that goes from one node to another, by their ids."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A run of nodes, `count` times the same block: `nodes` are the ids of all of them, in file order.

    `module` is the path of the module that it is, of the first one where it repeats; "" where it is none.
    """

    label: str
    nodes: tuple[str, ...]
    count: int = 1
    module: str = ""


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


def fold(nodes: Sequence[Node], edges: Sequence[Edge], limit: int = LIMIT, depth: int | None = None) -> Overview:
    """Return the graph in at most `limit` boxes, with modules opened `depth` scopes deep or as deep as fits.

    A graph that fits keeps every node. A larger one begins as its outermost modules, with runs of equal blocks
    folded into one box; then the largest boxes are opened, one after the other, as long as the result fits. Inputs and
    outputs keep boxes of their own, unless they are many.

    Raises:
        ValueError: two nodes have the same id, or `limit` is below 1.
    """
    if len({node.id for node in nodes}) != len(nodes) or limit < 1:
        raise ValueError(f"overview: expected unique ids and a limit of 1 or more, got limit {limit}")
    if len(nodes) <= limit and depth is None:
        boxes = [Box(label=node.label, nodes=(node.id,)) for node in nodes]
    else:
        boxes = _folded(nodes, edges, limit, depth)
    owner = {node: index for index, box in enumerate(boxes) for node in box.nodes}
    shown, inside, left_out = _edges(edges, owner)
    return Overview(
        boxes=tuple(boxes),
        edges=shown,
        folded=sum(len(box.nodes) for box in boxes if len(box.nodes) > 1),
        inside=inside,
        left_out=left_out,
    )


def _folded(nodes: Sequence[Node], edges: Sequence[Edge], limit: int, depth: int | None) -> list[Box]:
    """Return at most `limit` boxes: the ends, and between them the nodes, folded."""
    first = sum(1 for _ in takewhile(lambda node: node.end, nodes))
    last = sum(1 for _ in takewhile(lambda node: node.end, reversed(nodes[first:])))
    before, inner, after = nodes[:first], nodes[first : len(nodes) - last], nodes[len(nodes) - last :]
    ends = [_ends(before, limit), _ends(after, limit)]
    room = limit - len(ends[0]) - len(ends[1])
    if room < 1:
        return [Box(label=f"{len(nodes):,} nodes", nodes=tuple(node.id for node in nodes))]
    position = {node.id: index for index, node in enumerate(inner)}
    links = [(position[e.source], position[e.target]) for e in edges if e.source in position and e.target in position]
    opened = _open(blocks(inner, links, room, depth), room)
    return [*ends[0], *(_box(block, inner) for block in opened), *ends[1]]


def _ends(nodes: Sequence[Node], limit: int) -> list[Box]:
    """Return a box for each input or output; one for all where they would take up much of the drawing."""
    if len(nodes) <= max(limit // _ROOM_FOR_ENDS, 1):
        return [Box(label=node.label, nodes=(node.id,)) for node in nodes]
    return [Box(label=f"{len(nodes):,} {nodes[0].op}s", nodes=tuple(node.id for node in nodes))]


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
    ids = tuple(node.id for node in members)
    return Box(label=label, nodes=ids, count=block.count, module="" if only is not None else block.module)


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
