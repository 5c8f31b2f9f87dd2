"""Bfloat16 where onnxruntime has no kernels for it: the same graph computed in float32.

NumPy knows no bfloat16 that onnxruntime would take, and onnxruntime's CPU has almost no kernel of it (1.31: moves and
casts). So the inputs and outputs of a model that is run are float32 wherever they are bfloat16 in the file, and the
whole graph is widened where it cannot be loaded as it is. Weights stay where they are, in 16 bits: a Cast behind each,
which onnxruntime computes once at load, widens them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.model.symbols import all_values

Array: TypeAlias = np.ndarray[Any, Any]

NOTE = "bfloat16 computed in float32"
_NARROW, _WIDE = ir.DataType.BFLOAT16, ir.DataType.FLOAT
# Attributes that hold an element type: of a result, or of what is computed inside of an operator.
_TYPES = frozenset({"to", "dtype", "output_dtype", "output_datatype", "precision", "softmax_precision", "stash_type"})


def has_bfloat16(model: ir.Model) -> bool:
    """Return whether any value of `model` is bfloat16."""
    return any(_is_narrow(value.type) for value in all_values(model))


def as_float32(feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Return `feeds` with bfloat16 arrays as float32, which `open_ends` makes of the inputs that take them."""
    narrow = _NARROW.numpy()
    return {name: array.astype(np.float32) if array.dtype == narrow else array for name, array in feeds.items()}


def open_ends(model: ir.Model) -> None:
    """Make bfloat16 inputs and outputs of `model` float32, in place; their names stay."""
    graph, names = model.graph, _names(model)
    own = [value.name for value in graph.outputs]
    for value in graph.inputs:
        if value.dtype == _NARROW and value.name not in graph.initializers:
            _cast_behind(value, _NARROW, next(names), graph)
            value.dtype = _WIDE
    for index, value in enumerate(graph.outputs):
        if value.dtype == _NARROW:
            if value.name == own[index]:
                value.name = next(names)
            cast = ir.node("Cast", [value], {"to": int(_WIDE)})
            graph.append(cast)
            graph.outputs[index] = cast.outputs[0]
            cast.outputs[0].name, cast.outputs[0].dtype = own[index], _WIDE


def can_widen(model: ir.Model) -> bool:
    """Return whether `widen` leaves the meaning of `model` as it is: no operator reads the bits of a bfloat16."""
    return not any(
        node.op_type == "BitCast"
        and any(value is not None and _is_narrow(value.type) for value in (*node.inputs, *node.outputs))
        for node in model.graph.all_nodes()
    )


def in_float32(model: ir.Model) -> None:
    """Let `model` compute in float32 what is bfloat16, its inputs and outputs too, in place, where it has any."""
    if has_bfloat16(model) and can_widen(model):
        open_ends(model)
        widen(model)


def widen(model: ir.Model) -> None:
    """Let every graph of `model` compute in float32 what it computes in bfloat16, in place.

    Inputs and outputs are float32 already (`open_ends`). What a Cast to bfloat16 rounds is not rounded any more.
    """
    names = _names(model)
    for node in list(model.graph.all_nodes()):
        for name, attribute in list(node.attributes.items()):
            if node.op_type != "Constant":
                node.attributes[name] = _wider_attribute(attribute)
    for graph in _graphs(model.graph):
        constants = [node.outputs[0] for node in graph if node.op_type == "Constant"]
        stored = [value for value in (*graph.initializers.values(), *constants) if value.dtype == _NARROW]
        for value in (*graph.inputs, *(output for node in graph for output in node.outputs)):
            if value not in stored and value.type is not None:
                value.type = _wider_type(value.type)
        for value in stored:
            _cast_behind(value, _WIDE, next(names), graph)


def _cast_behind(value: ir.Value, dtype: ir.DataType, name: str, graph: ir.Graph) -> None:
    """Put a Cast between `value` and everything that reads it."""
    cast = ir.node("Cast", [None], {"to": int(dtype)})
    output = cast.outputs[0]
    output.name, output.dtype = name, dtype
    value.replace_all_uses_with(output, replace_graph_outputs=True)
    cast.replace_input_with(0, value)
    producer, first = value.producer(), next(iter(graph), None)
    if producer is not None:
        graph.insert_after(producer, cast)
    elif first is not None:
        graph.insert_before(first, cast)
    else:
        graph.append(cast)


def _wider_attribute(attribute: ir.Attr) -> ir.Attr:
    name, kind = attribute.name, attribute.type
    if kind == ir.AttributeType.INT and name in _TYPES and attribute.as_int() == _NARROW:
        return ir.AttrInt64(name, int(_WIDE))
    if kind == ir.AttributeType.TENSOR and attribute.as_tensor().dtype == _NARROW:
        return ir.AttrTensor(name, ir.tensor(attribute.as_tensor().numpy().astype(np.float32)))
    if kind == ir.AttributeType.TYPE_PROTO and _is_narrow(attribute.value.type):
        return ir.AttrTypeProto(name, ir.TypeAndShape(_wider_type(attribute.value.type), attribute.value.shape))
    return attribute


def _is_narrow(kind: Any) -> bool:
    return kind is not None and kind.dtype == _NARROW


def _wider_type(kind: Any) -> Any:
    """Return a type, of a tensor or of sequences of them, with float32 for bfloat16."""
    if not _is_narrow(kind):
        return kind
    inner = kind.elem_type
    return type(kind)(_WIDE if isinstance(inner, ir.DataType) else _wider_type(inner))


def _graphs(graph: ir.Graph) -> Iterator[ir.Graph]:
    """Yield `graph` and the graphs inside of it."""
    yield graph
    yield from graph.subgraphs()


def _names(model: ir.Model) -> Iterator[str]:
    """Yield names that are new to `model`."""
    known, count = {value.name for value in all_values(model)}, 0
    while True:
        count += 1
        if f"wua_wide_{count}" not in known:
            yield f"wua_wide_{count}"
