"""Small models that onnxruntime rewrites in different ways."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array: TypeAlias = np.ndarray[Any, Any]


def _model(nodes: list[onnx.NodeProto], inputs: Any, outputs: list[str], weights: dict[str, Array]) -> onnx.ModelProto:
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    wanted = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    held = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "model", given, wanted, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def _normal(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)


def convolutions() -> onnx.ModelProto:
    """A residual block: onnxruntime blocks its layout and fuses activations and the sum, naming them after outputs."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1"], ["a"], name="stem", kernel_shape=[3, 3]),
        node("Relu", ["a"], ["b"], name="stem_relu"),
        node("Conv", ["b", "w2"], ["c"], name="branch", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Add", ["c", "b"], ["d"], name="residual"),
        node("Relu", ["d"], ["e"], name="out_relu"),
        node("Conv", ["e", "w3"], ["f"], name="last", kernel_shape=[1, 1]),
        node("Relu", ["f"], ["g"], name="last_relu"),
        node("Transpose", ["g"], ["h"], name="turn", perm=[0, 2, 3, 1]),
        node("MatMul", ["h", "w4"], ["y"], name="head"),
    ]
    weights = {"w1": _normal(32, 16, 3, 3), "w2": _normal(32, 32, 3, 3), "w3": _normal(16, 32, 1, 1)}
    return _model(nodes, {"x": [1, 16, 13, 11]}, ["y"], {**weights, "w4": _normal(16, 7)})


def fusions() -> onnx.ModelProto:
    """Nodes that become one (Gelu, Gemm), one that becomes two (HardSwish), one done twice, one done at load."""
    node = helper.make_node
    nodes = [
        node("MatMul", ["x", "w"], ["a"], name="product"),
        node("Add", ["a", "bias"], ["b"], name="shift"),
        node("Div", ["b", "root"], ["c"], name="gelu_div"),
        node("Erf", ["c"], ["d"], name="gelu_erf"),
        node("Add", ["d", "one"], ["e"], name="gelu_add"),
        node("Mul", ["b", "e"], ["f"], name="gelu_mul"),
        node("Mul", ["f", "half"], ["g"], name="gelu_half"),
        node("Softmax", ["g"], ["s1"], name="first", axis=1),
        node("Softmax", ["g"], ["s2"], name="again", axis=1),
        node("Concat", ["s1", "s2"], ["j"], name="join", axis=1),
        node("HardSwish", ["j"], ["k"], name="swish"),
        node("Neg", ["one"], ["m"], name="folded"),
        node("Sub", ["k", "m"], ["y"], name="end"),
        node("Exp", ["x"], ["nowhere"], name="unused"),
    ]
    scalars = {"root": np.sqrt(2.0), "one": 1.0, "half": 0.5}
    weights = {"w": _normal(7, 11), "bias": _normal(11), **{k: np.float32(v) for k, v in scalars.items()}}
    return _model(nodes, {"x": [5, 7]}, ["y"], {key: np.asarray(value) for key, value in weights.items()})


def loop(trips: int = 3) -> onnx.ModelProto:
    """A loop whose body has two nodes, between two nodes outside."""
    node = helper.make_node
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            node("Identity", ["go"], ["still"], name="keep"),
            node("MatMul", ["state", "w"], ["t"], name="step"),
            node("Tanh", ["t"], ["next"], name="squash"),
        ],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("state", TensorProto.FLOAT, None)],
        [value("still", TensorProto.BOOL, []), value("next", TensorProto.FLOAT, None)],
    )
    nodes = [
        node("Exp", ["x"], ["a"], name="before"),
        node("Loop", ["trips", "", "a"], ["b"], name="turns", body=body),
        node("Sin", ["b"], ["y"], name="after"),
    ]
    return _model(nodes, {"x": [5, 7]}, ["y"], {"w": _normal(7, 7), "trips": np.asarray(trips, dtype=np.int64)})
