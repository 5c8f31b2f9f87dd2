"""How nodes are wired: every value has one producer, and no node depends on itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import onnx
import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.errors import ModelError
from wua_onnx.model.graph import subgraphs

_SHOWN = 6  # nodes of a circle


def check_producers(proto: onnx.ModelProto) -> None:
    """Check that every value of each graph and function comes from one node, or is an input or an initializer.

    Raises:
        ModelError: a value has two producers: which, and whose it is.
    """
    for where, nodes, given in _scopes(proto):
        _check_nodes(where, nodes, given)


def _scopes(proto: onnx.ModelProto) -> Iterator[tuple[str, Sequence[onnx.NodeProto], set[str]]]:
    """Yield each function and each graph, those inside of nodes too: what it is called, its nodes, what it is given."""
    graphs = [proto.graph, *_inside(node for function in proto.functions for node in function.node)]
    for function in proto.functions:
        yield f"function {clean(function.name)!r}", function.node, set(function.input)
    while graphs:
        graph = graphs.pop()
        given = {value.name for value in (*graph.input, *graph.initializer)}
        given.update(tensor.values.name for tensor in graph.sparse_initializer)
        yield f"graph {clean(graph.name)!r}", graph.node, given
        graphs.extend(_inside(graph.node))


def _inside(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from [attribute.g] if attribute.HasField("g") else attribute.graphs


def _check_nodes(where: str, nodes: Iterable[onnx.NodeProto], given: set[str]) -> None:
    producers: dict[str, onnx.NodeProto] = {}
    for node in nodes:
        for name in node.output:
            if name and (name in given or name in producers):
                first = _text(producers[name]) if name in producers else "an input or initializer"
                raise ModelError(
                    f"{where}: expected one producer of value {clean(name)!r}, got two: {first} and {_text(node)}"
                )
            producers[name] = node


def _text(node: onnx.NodeProto | ir.Node) -> str:
    return f"{clean(node.op_type)} (node {clean(node.name or _first_output(node))!r})"


def _first_output(node: onnx.NodeProto | ir.Node) -> str:
    if isinstance(node, ir.Node):
        return (node.outputs[0].name or "") if node.outputs else ""
    return str(node.output[0]) if node.output else ""


def check_order(model: ir.Model) -> None:
    """Check that no node depends on itself, through others or through graphs inside of nodes. Linear in their number.

    Raises:
        ModelError: some nodes go in a circle: which.
    """
    done: set[ir.Node] = set()
    for start in (*model.graph, *(node for function in model.functions.values() for node in function)):
        path: dict[ir.Node, Iterator[ir.Node]] = {} if start in done else {start: _needed(start)}
        while path:
            node, needed = next(reversed(path.items()))
            following = next((other for other in needed if other not in done), None)
            if following is None:
                done.add(node)
                del path[node]
            elif following in path:
                raise ModelError(_circle(list(path), following))
            else:
                path[following] = _needed(following)


def _needed(node: ir.Node) -> Iterator[ir.Node]:
    """Yield what has to run before `node` is done: who makes its inputs, and what lies inside of it."""
    yield from (producer for value in node.inputs if value is not None and (producer := value.producer()) is not None)
    for attribute in node.attributes.values():
        for graph in subgraphs(attribute):
            yield from graph


def _circle(path: list[ir.Node], again: ir.Node) -> str:
    """Return what the error says: the nodes in the order in which they run, were it not for the circle."""
    circle = [again, *path[path.index(again) + 1 :][::-1]]
    names = [_text(node) for node in circle[:_SHOWN]]
    more = f" → {len(circle) - _SHOWN:,} more" if len(circle) > _SHOWN else ""
    return f"{_text(again)}: expected inputs that do not depend on its own result, got a circle: " + (
        f"{' → '.join(names)}{more} → {names[0]}"
    )


__all__ = ["check_order", "check_producers"]
