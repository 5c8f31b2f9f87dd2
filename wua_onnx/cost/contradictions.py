"""What cannot be true of a model: sizes that no tensor has, shapes that do not fit each other, attributes left out.

Rules check the operands of their own operators; here is what holds for many of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import onnx
import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.errors import ModelError, ShapeError
from wua_onnx.model.dims import Dim, Shape, product
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

_MOST = 2**63 - 1  # elements of a tensor
# Their inputs are broadcast to each other, and so to the output, from opset 7 on.
# fmt: off
BROADCAST = frozenset({
    "Add", "Sub", "Mul", "Div", "Mod", "Pow", "And", "Or", "Xor", "Equal", "Greater", "GreaterOrEqual", "Less",
    "LessOrEqual", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Where", "Max", "Min", "Mean", "Sum", "PRelu",
})
# Their output has the shape of their first input.
_SAME = frozenset({
    "Abs", "Cast", "Ceil", "Clip", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity",
    "LeakyRelu", "Log", "LogSoftmax", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign",
    "Sin", "Softmax", "Softplus", "Softsign", "Sqrt", "Tanh", "BatchNormalization", "InstanceNormalization",
    "LayerNormalization", "RMSNormalization", "GroupNormalization", "LpNormalization", "LRN",
})
# fmt: on
_SAME_ELEMENTS = frozenset({"Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
_BY_CHANNEL = {"BatchNormalization": (1, 2, 3, 4), "InstanceNormalization": (1, 2)}  # inputs of one value a channel


def check_sizes(model: Model) -> None:
    """Raise ShapeError where an input or an initializer has a size below 0, or more elements than can be numbered."""
    for what, value in _declared(model):
        sizes = [dim for dim in value.shape or () if isinstance(dim, int)]
        if any(size < 0 for size in sizes):
            raise ShapeError(f"{what} {clean(value.name)!r}: expected sizes of at least 0, got shape {_text(value)}")
        if sizes and 0 not in sizes and product(tuple(sizes)) > _MOST:  # type: ignore[operator] # all are integers
            raise ShapeError(f"{what} {clean(value.name)!r}: expected fewer than 2^63 elements, got {_text(value)}")


def _declared(model: Model) -> Iterator[tuple[str, ir.Value]]:
    graphs = {node.graph for node in model.all_nodes()} | {model.ir_model.graph}
    for graph in graphs:
        if isinstance(graph, ir.Graph):
            yield from (("initializer", value) for value in graph.initializers.values())
    yield from (("input", value) for value in model.inputs)


def _text(value: ir.Value) -> str:
    return clean(str(list(value.shape or ())))


def check_node(node: NodeView) -> None:
    """Raise ModelError where `node` lacks an attribute that it must have, ShapeError where its shapes cannot be."""
    for name in _required(node.op_type, node.opset, node.domain):
        if name not in node.node.attributes:
            raise ModelError(f"{node.where}: expected the attribute {name!r}, which it must have, got none")
    if node.domain or node.opset < 7:
        return
    if node.op_type in BROADCAST:
        _check_broadcast(node)
    elif node.op_type == "Concat":
        _check_concat(node)
    elif node.op_type in _SAME_ELEMENTS:
        _check_elements(node)
    elif node.op_type in _SAME:
        _check_same(node)


@lru_cache(maxsize=4096)
def _required(op_type: str, opset: int, domain: str) -> tuple[str, ...]:
    try:
        schema = onnx.defs.get_schema(op_type, opset, domain)
    except (onnx.defs.SchemaError, TypeError):  # TypeError: a name that is no UTF-8
        return ()
    return tuple(name for name, attribute in schema.attributes.items() if attribute.required)


def _shapes(node: NodeView) -> list[Shape | None]:
    given = (value for value in node.node.inputs if value is not None)
    return [node.model.shape(value) for value in given]


def _output(node: NodeView) -> Shape | None:
    return node.model.shape(node.node.outputs[0]) if node.node.outputs else None


def _check_broadcast(node: NodeView) -> None:
    shapes = [shape for shape in _shapes(node) if shape is not None]
    result = _output(node)
    for axis in range(1, max(map(len, shapes), default=0) + 1):
        sizes = {shape[-axis] for shape in shapes if axis <= len(shape) and isinstance(shape[-axis], int)} - {1}
        wanted = result[-axis] if result is not None and axis <= len(result) else None
        if len(sizes) > 1:
            raise ShapeError(f"{node.where}: operands: expected shapes that broadcast, got {_all_text(node, shapes)}")
        if sizes and isinstance(wanted, int) and wanted not in sizes:
            _differ(node, "output", shapes, result)


def _check_concat(node: NodeView) -> None:
    shapes = [shape for shape in _shapes(node) if shape is not None]
    rank = len(shapes[0]) if shapes else 0
    joined = int(node.attr("axis", 1))
    fits = all(len(shape) == rank for shape in shapes) and -rank <= joined < rank
    others = [axis for axis in range(rank) if axis != joined % rank] if fits else []
    fits &= all(len({s[axis] for s in shapes if isinstance(s[axis], int)}) < 2 for axis in others)
    if shapes and not fits:
        got = _all_text(node, shapes)
        raise ShapeError(f"{node.where}: inputs: expected shapes that differ along axis {joined} only, got {got}")


def _check_elements(node: NodeView) -> None:
    shape, result = _first(node), _output(node)
    if shape is None or result is None:
        return
    before, after = product(shape), product(result)
    if isinstance(before, int) and isinstance(after, int) and before != after:
        _differ(node, "elements", [shape], result)


def _check_same(node: NodeView) -> None:
    shape, result = _first(node), _output(node)
    if shape is None:
        return
    if result is not None and (len(shape) != len(result) or any(map(_unequal, shape, result))):
        _differ(node, "output", [shape], result)
    for index in _BY_CHANNEL.get(node.op_type, ()):
        value = node.input(index)
        own = node.model.shape(value) if value is not None else None
        if own and len(shape) > 1 and _unequal(own[0], shape[1]):
            raise ShapeError(f"{node.where}: input {index}: expected {shape[1]} channels, got {own[0]}")
    if node.op_type == "LayerNormalization" and node.has(1):
        _check_scale(node, shape)


def _check_scale(node: NodeView, shape: Shape) -> None:
    value = node.input(1)
    scale = node.model.shape(value) if value is not None else None
    for axis in range(1, len(scale or ()) + 1):
        assert scale is not None
        if axis > len(shape) or (scale[-axis] != 1 and _unequal(scale[-axis], shape[-axis])):
            wanted, got = (_all_text(node, [one]) for one in (shape, scale))
            raise ShapeError(f"{node.where}: scale: expected a shape that broadcasts to {wanted}, got {got}")


def _unequal(a: Dim, b: Dim) -> bool:
    return isinstance(a, int) and isinstance(b, int) and a != b


def _first(node: NodeView) -> Shape | None:
    value = node.input(0)
    return node.model.shape(value) if value is not None else None


def _differ(node: NodeView, what: str, shapes: Sequence[Shape], result: Shape | None) -> None:
    expected = {"elements": "as many as", "output": "the shape that follows from"}[what]
    got = _all_text(node, [result or ()])
    raise ShapeError(f"{node.where}: {what}: expected {expected} {_all_text(node, shapes)}, got {got}")


def _all_text(node: NodeView, shapes: Sequence[Shape]) -> str:
    return " and ".join(f"[{', '.join(map(node.model.text, shape))}]" for shape in shapes)


__all__ = ["BROADCAST", "check_node", "check_sizes"]
