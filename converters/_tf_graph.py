"""From a traced TensorFlow function to an ONNX graph, by tf2onnx, and what it leaves undone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from wua_onnx.errors import ConversionError

from . import _base
from ._quiet import converting, step
from ._tf_functions import Traced
from ._tf_import import import_package
from ._tf_order import restore_order
from ._tf_patches import patched
from ._upcast import upcast

OPSET = 18  # the newest that tf2onnx 1.17 writes


def narrow(traced: Traced) -> ir.DataType | None:
    """Return bfloat16 where the function computes in it."""
    types = {tensor.dtype.name for op in traced.function.graph.get_operations() for tensor in op.outputs}
    return ir.DataType.BFLOAT16 if "bfloat16" in types else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """What tf2onnx made of a function.

    Attributes:
        model: the ONNX graph.
        cautions: what to tell the user.
        frozen: the tf.GraphDef that it was made of; None where the weights are too large to be in it.
    """

    model: ir.Model
    cautions: tuple[str, ...] = ()
    frozen: Any = None


def translate(traced: Traced, where: str) -> Translated:
    """Return the ONNX graph of a traced function.

    tf2onnx writes bfloat16 as now one, now another type; such a function becomes one in float32.

    Raises:
        ConversionError: tf2onnx fails, or leaves operators of TensorFlow in the graph.
        MissingDependency: tf2onnx is not installed.
    """
    import_package("tensorflow")
    tf2onnx = import_package("tf2onnx")
    step("translating to ONNX")
    # A GraphDef or a ModelProto ends at 2 GiB: weights beyond that are handed over apart.
    large = sum(int(np.prod(v.shape)) * v.dtype.size for _, v in traced.variables) > _base.EXTERNAL_ABOVE
    source = SimpleNamespace(get_concrete_function=lambda *_: traced.function)
    with (
        converting(where, "operators that ONNX can express"),
        patched(traced.reads),
        _frozen() as frozen,
    ):
        proto, storage = tf2onnx.convert.from_function(
            source,
            (),
            opset=OPSET,
            large_model=large,
            custom_op_handlers=_handlers(),
        )
    cautions: tuple[str, ...] = ()
    if narrow(traced) is not None:
        proto = upcast(proto, (onnx.TensorProto.BFLOAT16, onnx.TensorProto.FLOAT16))
        cautions = (f"{where}: computes in bfloat16, which tf2onnx does not write: the converted model is in float32",)
    model: ir.Model = ir.from_proto(proto)
    if storage is not None:
        _restore_weights(model, storage.name_to_tensor_data)
    _bind_captured(model, traced)
    _restore_order(model, traced.function.graph)
    return Translated(model=model, cautions=cautions, frozen=frozen[0] if frozen and not large else None)


def _restore_order(model: ir.Model, graph: Any) -> None:
    """Put the operators in the order in which those of the tf.Graph and of the bodies of its loops were created."""
    created = (str(operation.name) for operation in graph.get_operations())
    restore_order(model.graph, {name: number for number, name in enumerate(created)})
    bodies = (node.name for body in graph.as_graph_def().library.function for node in body.node_def)
    inside = {str(name): number for number, name in enumerate(bodies)}
    for body in model.graphs():
        if body is not model.graph:
            restore_order(body, inside)


_NO_NUMBERS = ("string", "resource", "variant")
_HINTS = {
    ("Random", "Multinomial"): "random numbers, which no two runs share: convert the part of the model before them",
    ("Lookup", "Regex", "String"): "text: convert the part of the model behind it, which takes numbers",
}


def check_operators(model: ir.Model, where: str) -> None:
    """Refuse a graph in which operators of TensorFlow are left.

    Raises:
        ConversionError: names each operator with the layers it came from.
    """
    left: dict[str, list[str]] = {}
    for node in model.graph.all_nodes():
        version = model.opset_imports.get(node.domain)
        if version is None or not _is_operator(node.op_type, version, node.domain):
            left.setdefault(node.op_type, []).append((node.name or "").rpartition("/")[0] or node.name or "?")
    if left:
        found = "; ".join(f"{op} in {', '.join(sorted(set(layers))[:3])}" for op, layers in sorted(left.items()))
        hint = next((f" ({text})" for words, text in _HINTS.items() if any(w in op for w in words for op in left)), "")
        raise ConversionError(f"{where}: expected operators that ONNX can express, got {found}{hint}")


def _is_operator(op_type: str, version: int, domain: str) -> bool:
    try:
        onnx.defs.get_schema(op_type, version, domain)
    except onnx.defs.SchemaError:
        return False
    return True


def _handlers() -> dict[str, tuple[Any, list[str]]]:
    """Return what writes the operators that tf2onnx does not know."""
    return {"Erfc": (_erfc, []), "Expm1": (_expm1, []), "Bucketize": (_bucketize, [])}


def _erfc(ctx: Any, node: Any, name: str, args: Any) -> None:
    """Write Erfc, which Keras's exact GELU is made of, as 1 - Erf(x): ONNX has no operator of that name."""
    one, erf, rest = _one_and(ctx, node, name, "Erf")
    ctx.make_node("Sub", [one, erf], name=name, **rest)


def _expm1(ctx: Any, node: Any, name: str, args: Any) -> None:
    """Write Expm1, which Keras's CELU is made of, as Exp(x) - 1."""
    one, exponential, rest = _one_and(ctx, node, name, "Exp")
    ctx.make_node("Sub", [exponential, one], name=name, **rest)


def _one_and(ctx: Any, node: Any, name: str, function: str) -> tuple[str, str, dict[str, Any]]:
    """Take `node` away; return a 1 of its type, `function` of its input, and what the node in its place must have."""
    dtype, shape = ctx.get_dtype(node.output[0]), ctx.get_shape(node.output[0])
    inputs, outputs = list(node.input), list(node.output)
    ctx.remove_node(node.name)
    one = ctx.make_const(f"{name}/one", np.array(1, ir.DataType(dtype).numpy()))
    applied = ctx.make_node(function, inputs, name=f"{name}/{function}", shapes=[shape], dtypes=[dtype])
    return one.output[0], applied.output[0], {"outputs": outputs, "shapes": [shape], "dtypes": [dtype]}


def _bucketize(ctx: Any, node: Any, name: str, args: Any) -> None:
    """Write Bucketize, which Keras's Discretization is made of, as the number of boundaries that a value reaches."""
    boundaries = np.array(node.get_attr("boundaries").floats, np.float32)
    inputs, outputs, shape = list(node.input), list(node.output), ctx.get_shape(node.output[0])
    ctx.remove_node(node.name)
    cast = ctx.make_node("Cast", inputs, attr={"to": onnx.TensorProto.FLOAT}, name=f"{name}/Cast")
    last = ctx.make_const(f"{name}/axis", np.array([-1], np.int64)).output[0]
    column = ctx.make_node("Unsqueeze", [cast.output[0], last], name=f"{name}/Unsqueeze")
    edges = ctx.make_const(f"{name}/boundaries", boundaries).output[0]
    reached = ctx.make_node("GreaterOrEqual", [column.output[0], edges], name=f"{name}/GreaterOrEqual")
    ones = ctx.make_node("Cast", reached.output, attr={"to": onnx.TensorProto.INT32}, name=f"{name}/Ones")
    ctx.make_node(
        "ReduceSum",
        [ones.output[0], last],
        attr={"keepdims": 0},
        name=name,
        outputs=outputs,
        shapes=[shape],
        dtypes=[onnx.TensorProto.INT32],
    )


@contextlib.contextmanager
def _frozen() -> Iterator[list[Any]]:
    """Collect the graphs that tf2onnx freezes in the body."""
    loader = import_package("tf2onnx.tf_loader")
    freeze, found = loader.from_function, []

    def keep(*args: Any, **kwargs: Any) -> Any:
        made = freeze(*args, **kwargs)
        found.append(made)
        return made

    loader.from_function = keep
    try:
        yield found
    finally:
        loader.from_function = freeze


def _restore_weights(model: ir.Model, data: dict[str, bytes]) -> None:
    """Put the tensors that tf2onnx handed over apart back where the graph refers to them."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if isinstance(tensor, ir.ExternalTensor):
                flat = np.frombuffer(data[str(tensor.location)], dtype=tensor.dtype.numpy())
                value.const_value = ir.Tensor(flat.reshape(tensor.shape.numpy()), name=value.name)


def _bind_captured(model: ir.Model, traced: Traced) -> None:
    """Turn inputs that stand for constants captured by the function (a Normalization's mean) into initializers.

    Tables of words are no constants; the operators that read them have no equivalent.
    """
    captures = [pair for pair in traced.function.graph.captures if pair[0].dtype.name not in _NO_NUMBERS]
    captured = {placeholder.name: tensor for tensor, placeholder in captures}
    for value in list(model.graph.inputs):
        if value.name in captured:
            model.graph.inputs.remove(value)
            value.const_value = ir.tensor(captured[value.name].numpy(), name=value.name)
            model.graph.initializers.add(value)
