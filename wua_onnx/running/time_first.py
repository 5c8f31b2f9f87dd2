"""Recurrent operators that take samples first (`layout = 1`), which onnxruntime does not compute: the same, time first.

Only the copy of a model that is run is changed: a Transpose stands before and behind the operator.
https://onnx.ai/onnx/operators/onnx__LSTM.html
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import onnx_ir as ir

from wua_onnx.model.symbols import all_values

_OPERATORS = frozenset({"GRU", "LSTM", "RNN"})
_SEQUENCE, _STATES = 0, (5, 6)  # inputs with a batch axis that moves
_SWAPPED = (1, 0, 2)
_SEQUENCE_BACK = (2, 0, 1, 3)  # from (steps, directions, samples, hidden)


def time_first(model: ir.Model) -> None:
    """Give every recurrent operator of `model` time first, in place; the names of values stay."""
    found = [node for node in model.graph.all_nodes() if node.op_type in _OPERATORS and _samples_first(node)]
    names = _names(model) if found else iter(())
    for node in found:
        _rewrite(node, names)


def _samples_first(node: ir.Node) -> bool:
    layout = node.attributes.get("layout")
    return not node.domain and layout is not None and layout.as_int() == 1


def _rewrite(node: ir.Node, names: Iterator[str]) -> None:
    graph = node.graph
    assert graph is not None
    for index in (_SEQUENCE, *_STATES):
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is not None:
            before = _transpose(value, _SWAPPED, next(names))
            graph.insert_before(node, before)
            node.replace_input_with(index, before.outputs[0])
    del node.attributes["layout"]
    for index, value in enumerate(node.outputs):
        name, readers = value.name, list(value.uses())
        if not name:  # left out
            continue
        value.name = next(names)
        behind = _transpose(value, _SWAPPED if index else _SEQUENCE_BACK, name)
        graph.insert_after(node, behind)
        result = behind.outputs[0]
        result.shape, value.shape = value.shape, None
        for user, place in readers:
            user.replace_input_with(place, result)
        for place, output in enumerate(graph.outputs):
            if output is value:
                graph.outputs[place] = result


def _transpose(value: ir.Value, permutation: tuple[int, ...], name: str) -> ir.Node:
    node = ir.node("Transpose", [value], {"perm": permutation})
    node.outputs[0].name, node.outputs[0].type = name, value.type
    return node


def _names(model: ir.Model) -> Iterator[str]:
    taken = {value.name for value in all_values(model)}
    return (name for number in count() if (name := f"time_first_{number}") not in taken)
