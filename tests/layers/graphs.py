"""Small models, written as text with their weights beside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx.parser
import onnxruntime

Array = np.ndarray[Any, Any]
MICROSOFT = '"com.microsoft": 1'


def model(
    graph: str, weights: Mapping[str, Any] | None = None, *, opset: int | None = 21, also: str = ""
) -> onnx.ModelProto:
    """Return the model of `g (inputs) => (outputs) { nodes }` with initializers; `also` imports further domains."""
    imports = ", ".join(filter(None, [f'"": {opset}' if opset is not None else "", also]))
    proto = onnx.parser.parse_model(f"<ir_version: 10, opset_import: [{imports}]> g {graph}")
    proto.graph.initializer.extend(tensor(value, name) for name, value in (weights or {}).items())
    return proto


def tensor(value: Any, name: str) -> onnx.TensorProto:
    value = np.asarray(value)
    if value.dtype == ml_dtypes.int4:
        return onnx.helper.make_tensor(name, onnx.TensorProto.INT4, value.shape, value.astype(np.int8).reshape(-1))
    return onnx.numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)


def rand(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Array:
    """Return normal random numbers."""
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(dtype)


def session(proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(proto: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Any]:
    return list(session(proto).run(None, dict(feeds)))


def jacobian(proto: onnx.ModelProto, shape: tuple[int, ...]) -> Array:
    """Return what an affine model of one input and one output does to each input element: (inputs, outputs)."""
    runner = session(proto)
    name = runner.get_inputs()[0].name
    size = int(np.prod(shape))
    at = [
        runner.run(None, {name: row.reshape(shape)})[0].reshape(-1).astype(np.float64)
        for row in np.vstack([np.zeros((1, size), np.float32), np.eye(size, dtype=np.float32)])
    ]
    return np.asarray(np.array(at[1:]) - at[0])
