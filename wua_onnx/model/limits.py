"""Safety limits on model files, which are untrusted input, and the cleaning of their strings."""

from __future__ import annotations

import onnx_ir as ir

from wua_onnx._text import visible
from wua_onnx.errors import LimitError

MAX_NODES = 2_000_000  # nodes once every function call is written out
MAX_GRAPH_DEPTH = 64  # If/Loop/Scan bodies inside each other
MAX_NAME = 200  # characters of a name that are kept for display


def clean(text: str | bytes | None) -> str:
    """Return `text` as one line of valid, visible characters, at most `MAX_NAME` long.

    Protobuf hands over strings that are no valid UTF-8 as bytes.
    """
    encoded = text if isinstance(text, bytes) else (text or "").encode("utf-8", "replace")
    return visible(encoded.decode("utf-8", "replace"), MAX_NAME)


def check_size(model: ir.Model) -> None:
    """Raise LimitError where function calls expand to more than `MAX_NODES` nodes, nest, or call themselves."""
    sizes: dict[ir.OperatorIdentifier, int] = {}
    open_calls: set[ir.OperatorIdentifier] = set()

    def expanded(identifier: ir.OperatorIdentifier) -> int:
        if identifier in sizes:
            return sizes[identifier]
        if identifier in open_calls:
            raise LimitError(
                f"function {clean(identifier[1])!r}: expected an acyclic call graph, got one that calls itself"
            )
        if len(open_calls) > MAX_GRAPH_DEPTH:
            raise LimitError(f"functions: expected calls at most {MAX_GRAPH_DEPTH} deep, got more")
        open_calls.add(identifier)
        sizes[identifier] = size = count(model.functions[identifier])
        open_calls.discard(identifier)
        return size

    def count(graph: ir.Graph | ir.Function) -> int:
        number = 0
        for node in graph.all_nodes():
            identifier = node.op_identifier()
            number += expanded(identifier) if identifier in model.functions else 1
        if number > MAX_NODES:
            raise LimitError(f"graph: expected at most {MAX_NODES:,} nodes, got {number:,}")
        return number

    count(model.graph)
