"""Safety limits on model files, which are untrusted input."""

from __future__ import annotations

import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.errors import LimitError

MAX_NODES = 2_000_000  # nodes of a graph
MAX_WRITTEN_OUT = 200_000  # nodes that come of function calls, the calls included
MAX_GRAPH_DEPTH = 64  # If/Loop/Scan bodies inside each other


def check_size(model: ir.Model) -> None:
    """Raise LimitError where there are too many nodes, or function calls that make too many, nest or call themselves.

    Every function is looked through once, however often it is called.
    """
    sizes: dict[ir.OperatorIdentifier, int] = {}
    open_calls: set[ir.OperatorIdentifier] = set()

    def expanded(identifier: ir.OperatorIdentifier) -> int:
        if identifier in sizes:
            return sizes[identifier]
        name = clean(identifier[1])
        if identifier in open_calls:
            raise LimitError(f"function {name!r}: expected an acyclic call graph, got one that calls itself")
        if len(open_calls) > MAX_GRAPH_DEPTH:
            raise LimitError(f"function {name!r}: expected calls at most {MAX_GRAPH_DEPTH} deep, got more")
        open_calls.add(identifier)
        sizes[identifier] = size = sum(count(model.functions[identifier]))
        open_calls.discard(identifier)
        if size > MAX_WRITTEN_OUT:
            raise LimitError(f"function {name!r}: expected at most {MAX_WRITTEN_OUT:,} nodes in it, got {size:,}")
        return size

    def count(graph: ir.Graph | ir.Function) -> tuple[int, int]:
        """Return how many nodes there are, and how many come of the calls among them."""
        nodes = of_calls = 0
        for node in graph.all_nodes():
            identifier = node.op_identifier()
            nodes += 1
            of_calls += expanded(identifier) if identifier in model.functions else 0
        return nodes, of_calls

    nodes, of_calls = count(model.graph)
    if nodes > MAX_NODES:
        raise LimitError(f"graph: expected at most {MAX_NODES:,} nodes, got {nodes:,}")
    if of_calls > MAX_WRITTEN_OUT:
        raise LimitError(f"graph: expected function calls of at most {MAX_WRITTEN_OUT:,} nodes, got {of_calls:,}")
