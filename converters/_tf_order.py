"""The operators that tf2onnx wrote, in the order in which TensorFlow's were created: that of the author's code.

tf2onnx sorts a graph its own way, in which the value of an attention may come before its query.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping

import onnx_ir as ir

# What tf2onnx adds to the name of an operator that it takes apart: `while_loop`, `packed_Concat__205`.
_ADDED = re.compile(r"(_[A-Za-z]+)?(__\d+)?$")


def restore_order(graph: ir.Graph, created: Mapping[str, int]) -> None:
    """Sort the operators of `graph` in place, each behind those it depends on.

    Args:
        graph: what tf2onnx wrote; graphs inside of its operators are sorted by calls of their own.
        created: the number of each operator of TensorFlow, in order of creation, by its name. One that tf2onnx added
            comes right before the first that needs it.
    """
    nodes = list(graph)
    needed = {node: {value.producer() for value in _read(node)} - {None, node} for node in nodes}
    users: dict[ir.Node, list[ir.Node]] = {node: [] for node in nodes}
    for node, producers in needed.items():
        for producer in producers:
            if producer in users:
                users[producer].append(node)
    rank: dict[ir.Node, int] = {}
    for node in reversed(nodes):
        name = str(node.name)
        own = created.get(name, created.get(_ADDED.sub("", name, count=1)))
        rank[node] = min((rank[user] for user in users[node]), default=len(created)) if own is None else own
    graph.remove(nodes)
    graph.extend(_sorted(nodes, users, rank))


def _sorted(
    nodes: list[ir.Node], users: Mapping[ir.Node, list[ir.Node]], rank: Mapping[ir.Node, int]
) -> Iterator[ir.Node]:
    """Yield the nodes, always the lowest in rank of those whose producers are out; ties as they stood."""
    place = {node: number for number, node in enumerate(nodes)}
    waiting = dict.fromkeys(nodes, 0)
    for following in users.values():
        for user in following:
            waiting[user] += 1
    ready = [(rank[node], place[node]) for node in nodes if not waiting[node]]
    heapq.heapify(ready)
    while ready:
        node = nodes[heapq.heappop(ready)[1]]
        yield node
        for user in users[node]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, (rank[user], place[user]))


def _read(node: ir.Node) -> Iterator[ir.Value]:
    """Yield every value that `node` or a graph inside it reads."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield from (value for value in current.inputs if value is not None)
        for attribute in current.attributes.values():
            graphs = [attribute.value] if attribute.type == ir.AttributeType.GRAPH else []
            graphs = list(attribute.value) if attribute.type == ir.AttributeType.GRAPHS else graphs
            for graph in graphs:
                yield from graph.outputs
                pending.extend(graph)
