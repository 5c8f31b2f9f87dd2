"""TensorFlow Lite files, through tf2onnx; TensorFlow's own interpreter says what they compute."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ._base import Draft, Example
from ._quiet import converting
from ._tf_examples import Array, Dims, arrays_for
from ._tf_graph import OPSET, check_operators
from ._tf_import import import_package
from ._tf_interface import name_dimensions, name_inputs
from ._tf_names import rename, scopes_of_nodes
from ._tf_patches import patched


def draft_tflite(path: Path, X: Any, dims: Dims) -> Draft:
    """Convert a .tflite file.

    Raises:
        ConversionError: the file is damaged, holds operators that ONNX has not, or does not accept X.
    """
    where = str(path)
    tf = import_package("tensorflow")
    tf2onnx = import_package("tf2onnx")
    with converting(where, "a TensorFlow Lite model"):
        interpreter = tf.lite.Interpreter(model_content=path.read_bytes())
        details = interpreter.get_input_details()
        handlers: dict[str, Any] = {"TFL_GELU": (_gelu, [])}
        with patched({}):
            proto, _ = tf2onnx.convert.from_tflite(str(path), opset=OPSET, custom_op_handlers=handlers)
    model: ir.Model = ir.from_proto(proto)
    check_operators(model, where)
    name_inputs(model)
    layers = rename(model, scopes_of_nodes(model), ())
    names = [str(value.name) for value in model.graph.inputs]
    specs = tuple(_spec(tf, detail, name) for detail, name in zip(details, names, strict=True))
    arrays = arrays_for(specs, X, dims, where)
    with converting(where, "a model that accepts its inputs"):
        outputs = _run(interpreter, arrays)
    samples = next((array.shape[0] for array in arrays if array.ndim), None)
    name_dimensions(model, samples, [array.shape for array in outputs])
    return Draft(
        model=model,
        framework="tensorflow",
        framework_version=str(tf.__version__),
        layer_names=layers,
        example=Example(
            feeds=dict(zip(names, arrays, strict=True)), outputs=outputs, wide=lambda: _run_plainly(path, arrays)
        ),
    )


def _gelu(ctx: Any, node: Any, name: str, args: Any) -> None:
    """Write GELU, which tf2onnx 1.17 does not know, as x / 2 * (1 + f): f an Erf, or a Tanh where it is approximate."""
    x, outputs = node.input[0], list(node.output)
    kinds = {"shapes": [ctx.get_shape(node.output[0])], "dtypes": [ctx.get_dtype(node.output[0])]}
    approximate = bool(node.get_attr_value("approximate", False))
    ctx.remove_node(node.name)

    def constant(value: float) -> str:
        made = ctx.make_const(f"{name}/{value:.3g}", np.array(value, ir.DataType(kinds["dtypes"][0]).numpy()))
        return str(made.output[0])

    def op(kind: str, *inputs: str, **options: Any) -> str:
        made = ctx.make_node(kind, list(inputs), **({"name": f"{name}/{kind}"} | kinds | options))
        return str(made.output[0])

    if approximate:  # https://arxiv.org/abs/1606.08415, section 2
        cubed = op("Mul", op("Mul", x, x, name=f"{name}/square"), x, name=f"{name}/cube")
        inner = op("Add", x, op("Mul", cubed, constant(0.044715), name=f"{name}/part"), name=f"{name}/sum")
        function = op("Tanh", op("Mul", inner, constant(math.sqrt(2 / math.pi)), name=f"{name}/scaled"))
    else:
        function = op("Erf", op("Mul", x, constant(math.sqrt(0.5)), name=f"{name}/scaled"))
    grown = op("Add", function, constant(1.0), name=f"{name}/plus")
    op("Mul", op("Mul", x, constant(0.5), name=f"{name}/half"), grown, name=name, outputs=outputs)


def _spec(tf: Any, detail: dict[str, Any], name: str) -> Any:
    """Return the tf.TensorSpec of an input, under the name it has in ONNX."""
    shape = [None if size < 0 else int(size) for size in detail["shape_signature"]]
    return tf.TensorSpec(shape, detail["dtype"], name=name)


def _run_plainly(path: Path, arrays: list[Array]) -> tuple[Array, ...]:
    """Return what TensorFlow Lite's reference kernels compute: they round elsewhere than its fast ones."""
    lite = import_package("tensorflow").lite
    plain = lite.experimental.OpResolverType.BUILTIN_REF
    with converting(str(path), "a model that TensorFlow Lite's reference kernels can run"):
        return _run(lite.Interpreter(model_path=str(path), experimental_op_resolver_type=plain), arrays)


def _run(interpreter: Any, arrays: list[Array]) -> tuple[Array, ...]:
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.resize_tensor_input(detail["index"], array.shape)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return tuple(np.asarray(interpreter.get_tensor(detail["index"])) for detail in interpreter.get_output_details())
