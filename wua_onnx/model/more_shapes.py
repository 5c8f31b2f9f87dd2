"""Shapes that onnx_shape_inference does not know: old operator versions, and some of com.microsoft and ai.onnx.ml."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import onnx_ir as ir

from wua_onnx.model import branches, quotients, resized_shapes, window_shapes

# Below opset 7 the second operand is broadcast to the first, so that the output has the shape of the first.
_LIKE_FIRST = ("Add", "Div", "Dropout", "Mul", "Pow", "Sub")
_FLAGS_LIKE_FIRST = ("And", "Equal", "Greater", "Less", "Or", "Xor")
# The same as their later versions.
_LIKE_LATER = {"Gemm": 7, "GroupNormalization": 21, "LayerNormalization": 17, "Max": 8, "Mean": 8, "Min": 8, "Sum": 8}
_MICROSOFT_LIKE = {  # the operator of ai.onnx whose output they have
    "FusedConv": "Conv",
    "FusedGemm": "Gemm",
    "MatMulIntegerToFloat": "MatMul",
    "DynamicQuantizeMatMul": "MatMul",
}
_MICROSOFT_LIKE_FIRST = (
    *("BiasDropout", "BiasSoftmax", "BitmaskBiasDropout", "BitmaskDropout", "BranchwiseRMSNorm", "DecoderAttention"),
    *("GatedAdd", "GatedRMSNorm", "Inverse", "LongformerAttention", "MRotaryEmbedding", "QOrderedAttention"),
    *("QOrderedGelu", "QOrderedLayerNormalization", "QOrderedLongformerAttention", "ScaledSiLU"),
)
_MICROSOFT_N_COLUMNS = ("MatMulBnb4", "MatMulNBitsMlp")  # as many columns as the attribute N says
_ML_FLOATS_LIKE_FIRST = ("Imputer", "Normalizer", "Scaler")


@cache
def register() -> None:
    """Add what is missing to the registry of onnx_shape_inference, once."""
    _register_old()
    _register_others()
    _register_loop()
    _register_integers()
    for module in (quotients, branches, window_shapes, resized_shapes):
        module.register()


def _register_integers() -> None:
    from onnx_shape_inference import registry

    infer = registry.get("com.microsoft", "QGemm", version=1)
    if infer is not None:
        registry.register("com.microsoft", "QGemm", since_version=1)(_typed_by(infer, 8))


def _typed_by(infer_shape: Callable[[Any, ir.Node], None], index: int) -> Callable[[Any, ir.Node], None]:
    """Give the output the type of input `index`, its zero point, where there is one."""

    def infer(ctx: Any, node: ir.Node) -> None:
        infer_shape(ctx, node)
        zero = node.inputs[index] if index < len(node.inputs) else None
        if zero is not None and zero.dtype is not None:
            node.outputs[0].type = ir.TensorType(zero.dtype)

    return infer


def _register_loop() -> None:
    from onnx_shape_inference import registry

    infer = registry.get("", "Loop", version=1)
    if infer is not None:
        registry.register("", "Loop", since_version=1)(_without_condition(infer))


def _without_condition(infer_shape: Callable[[Any, ir.Node], None]) -> Callable[[Any, ir.Node], None]:
    """Let the condition of a Loop be left out, as its specification allows."""

    def infer(ctx: Any, node: ir.Node) -> None:
        if len(node.inputs) < 2 or node.inputs[1] is not None:
            infer_shape(ctx, node)
            return
        node.replace_input_with(1, ir.Value(name="", type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape([])))
        try:
            infer_shape(ctx, node)
        finally:
            node.replace_input_with(1, None)

    return infer


def _register_others() -> None:
    from onnx_shape_inference import registry

    functions: dict[tuple[str, str], Any] = {("com.microsoft", op): _like_first for op in _MICROSOFT_LIKE_FIRST}
    functions |= {("ai.onnx.ml", op): _floats_like_first for op in _ML_FLOATS_LIKE_FIRST}
    functions["com.microsoft", "QuantizeLinear"] = _like_first_typed_by(2)
    functions["com.microsoft", "DequantizeLinear"] = _like_first_typed_by(1)
    functions |= {("com.microsoft", op): _n_columns for op in _MICROSOFT_N_COLUMNS}
    functions["com.microsoft", "GatherBlockQuantized"] = _gathered_blocks
    for op, twin in _MICROSOFT_LIKE.items():
        functions["com.microsoft", op] = _then_float(registry.get("", twin, version=13))
    for (domain, op), function in functions.items():
        if registry.get(domain, op, version=1) is None:
            registry.register(domain, op, since_version=1)(function)
    unique = registry.get("", "Unique", version=11)
    if unique is not None:
        registry.register("", "Unique", since_version=11)(_along_axis(unique))


def _register_old() -> None:
    from onnx_shape_inference import registry

    registry.collect()
    functions = dict.fromkeys(_LIKE_FIRST, _like_first) | dict.fromkeys(_FLAGS_LIKE_FIRST, _flags_like_first)
    functions |= {op: registry.get("", op, version=version) for op, version in _LIKE_LATER.items()}
    functions |= {"Slice": _slice, "TopK": _top_k}
    for op, function in functions.items():
        if function is not None and registry.get("", op, version=18 if op == "GroupNormalization" else 1) is None:
            registry.register("", op, since_version=1)(function)


def _like_first(ctx: Any, node: ir.Node) -> None:
    first = node.inputs[0]
    if first is not None:
        ctx.set_shape_and_dtype(node.outputs[0], first.shape, first.dtype)


def _floats_like_first(ctx: Any, node: ir.Node) -> None:
    first = node.inputs[0]
    if first is not None:
        ctx.set_shape_and_dtype(node.outputs[0], first.shape, ir.DataType.FLOAT)


def _like_first_typed_by(index: int) -> Callable[[Any, ir.Node], None]:
    def infer(ctx: Any, node: ir.Node) -> None:
        first, model = node.inputs[0], node.inputs[index] if index < len(node.inputs) else None
        if first is not None:
            ctx.set_shape_and_dtype(node.outputs[0], first.shape, model.dtype if model is not None else None)

    return infer


def _along_axis(infer_shape: Callable[[Any, ir.Node], None]) -> Callable[[Any, ir.Node], None]:
    """Unique along an axis keeps the others."""

    def infer(ctx: Any, node: ir.Node) -> None:
        infer_shape(ctx, node)
        data, found = node.inputs[0], node.outputs[0].shape
        if data is not None and data.shape is not None and found is not None and "axis" in node.attributes:
            dims: list[Any] = list(data.shape)
            dims[node.attributes["axis"].as_int()] = found[0] if len(found) == 1 else ctx.new_symbolic_dim()
            node.outputs[0].shape = ir.Shape(dims)

    return infer


def _then_float(infer_shape: Callable[[Any, ir.Node], None]) -> Callable[[Any, ir.Node], None]:
    def infer(ctx: Any, node: ir.Node) -> None:
        infer_shape(ctx, node)
        if node.outputs[0].dtype in (None, ir.DataType.INT8, ir.DataType.UINT8):
            node.outputs[0].dtype = ir.DataType.FLOAT

    return infer


def _n_columns(ctx: Any, node: ir.Node) -> None:
    """The columns are the attribute N."""
    first = node.inputs[0]
    if first is not None and first.shape is not None and "N" in node.attributes:
        ctx.set_shape_and_dtype(
            node.outputs[0], ir.Shape([*first.shape[:-1], node.attributes["N"].as_int()]), first.dtype
        )


def _gathered_blocks(ctx: Any, node: ir.Node) -> None:
    """As Gather; several elements are packed in one of the last axis where they are bytes."""
    table, indices, scales = (*node.inputs, None, None, None)[:3]
    if table is None or table.shape is None or indices is None or indices.shape is None or scales is None:
        return
    attributes, dims = node.attributes, list[Any](table.shape)
    bits = attributes["bits"].as_int() if "bits" in attributes else 4
    if table.dtype is ir.DataType.UINT8 and dims and bits in (2, 4, 8):
        dims[-1] = dims[-1] * (8 // bits)
    axis = attributes["gather_axis"].as_int() if "gather_axis" in attributes else 0
    if -len(dims) <= axis < len(dims):
        axis %= len(dims)
        dims[axis : axis + 1] = indices.shape
        ctx.set_shape_and_dtype(node.outputs[0], ir.Shape(dims), scales.dtype)


def _flags_like_first(ctx: Any, node: ir.Node) -> None:
    first = node.inputs[0]
    if first is not None:
        ctx.set_shape_and_dtype(node.outputs[0], first.shape, ir.DataType.BOOL)


def _ints(node: ir.Node, name: str) -> list[int]:
    attribute = node.attributes.get(name)
    return [int(value) for value in attribute.as_ints()] if attribute is not None else []


def _slice(ctx: Any, node: ir.Node) -> None:
    """Slice-1: starts, ends and axes are attributes; no steps."""
    data = node.inputs[0]
    if data is None or data.shape is None:
        return
    dims: list[Any] = list(data.shape)
    starts, ends = _ints(node, "starts"), _ints(node, "ends")
    for axis, start, end in zip(_ints(node, "axes") or range(len(starts)), starts, ends, strict=True):
        if not -len(dims) <= axis < len(dims):
            return
        size = dims[axis]
        if isinstance(size, int):
            dims[axis] = len(range(size)[start:end])
        elif start != 0 or end < 2**31 - 1:
            dims[axis] = ctx.new_symbolic_dim()
    ctx.set_shape_and_dtype(node.outputs[0], ir.Shape(dims), data.dtype)


def _top_k(ctx: Any, node: ir.Node) -> None:
    """TopK-1: k is an attribute."""
    data = node.inputs[0]
    if data is None or data.shape is None or "k" not in node.attributes:
        return
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else -1
    dims: list[Any] = list(data.shape)
    if -len(dims) <= axis < len(dims):
        dims[axis] = node.attributes["k"].as_int()
        ctx.set_shape_and_dtype(node.outputs[0], ir.Shape(dims), data.dtype)
        ctx.set_shape_and_dtype(node.outputs[1], ir.Shape(dims), ir.DataType.INT64)
