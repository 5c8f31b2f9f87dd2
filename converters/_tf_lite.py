"""TensorFlow Lite files, through tf2onnx; TensorFlow's own interpreter says what they compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ._base import Draft, Example
from ._quiet import converting
from ._tf_examples import Array, Dims, arrays_for
from ._tf_graph import OPSET, check_operators
from ._tf_import import import_package
from ._tf_names import name_dimensions, name_inputs, rename, scopes_of_nodes


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
        proto, _ = tf2onnx.convert.from_tflite(str(path), opset=OPSET)
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
        example=Example(feeds=dict(zip(names, arrays, strict=True)), outputs=outputs),
    )


def _spec(tf: Any, detail: dict[str, Any], name: str) -> Any:
    """Return the tf.TensorSpec of an input, under the name it has in ONNX."""
    shape = [None if size < 0 else int(size) for size in detail["shape_signature"]]
    return tf.TensorSpec(shape, detail["dtype"], name=name)


def _run(interpreter: Any, arrays: list[Array]) -> tuple[Array, ...]:
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.resize_tensor_input(detail["index"], array.shape)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return tuple(np.asarray(interpreter.get_tensor(detail["index"])) for detail in interpreter.get_output_details())
