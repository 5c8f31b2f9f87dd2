"""Writing function calls out, in a time that grows with the nodes that come of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass


def written_out(model: ir.Model) -> ir.Model:
    """Return `model` without functions, every call replaced by the nodes of its function; it is changed in place.

    Raises:
        Exception: calls that do not fit their functions (onnx_ir raises many kinds).
    """
    result: ir.Model = _Numbered()(model).model
    _share_constants(result.graph)
    return result


def _share_constants(graph: ir.Graph) -> None:
    """Keep one copy of each tensor in a Constant: a function holds its weights once, however often it is called."""
    first: dict[int, ir.Value] = {}
    for node in list(graph):
        held = node.attributes.get("value") if node.op_type == "Constant" and not node.domain else None
        if held is None or not isinstance(held.value, ir.TensorProtocol) or held.value.size < 2:
            continue
        copy, kept = node.outputs[0], first.setdefault(id(held.value), node.outputs[0])
        if copy is not kept and not copy.is_graph_output():
            ir.convenience.replace_all_uses_with(copy, kept)
            graph.remove(node, safe=True)


class _Numbered(InlinePass):
    """Numbers the names of every copy itself: `h`, `h_2`, `h_3`, as onnx_ir does by trying them one after another."""

    def call(self, model: ir.Model) -> Any:
        self._given: dict[Any, list[tuple[Any, str]]] = {}
        self._copies: Counter[tuple[bool, str]] = Counter()
        return super().call(model)

    def _instantiate_call(self, node: ir.Node, call_site_id: str) -> Any:
        self._number(self._functions[node.op_identifier()])
        return super()._instantiate_call(node, call_site_id)

    def _number(self, function: ir.Function) -> None:
        """Name the nodes and values of `function` for its next copy."""
        key = function.identifier()
        if key not in self._given:
            self._given[key] = [(part, name) for part, name in _named(function) if name]
        for part, name in self._given[key]:
            kind = isinstance(part, ir.Node), name
            self._copies[kind] += 1
            copies = self._copies[kind]
            part.name = f"{name}_{copies}" if copies > 1 else name


def _named(function: ir.Function) -> Any:
    """Yield the nodes of `function` and what they compute, with their names."""
    for node in function.all_nodes():
        yield node, node.name or "node"
        for value in node.outputs:
            yield value, value.name


__all__ = ["written_out"]
