"""Models over free dimensions for tests of reports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.cost import CostReport, count
from wua_onnx.model import load

FLOAT = TensorProto.FLOAT
node = helper.make_node


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Sequence[int | str | None]],
    outputs: Sequence[str],
    weights: dict[str, tuple[int, ...]] | None = None,
) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(np.zeros(s, np.float32), n) for n, s in (weights or {}).items()]
    graph = helper.make_graph(
        nodes,
        "report",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def attention() -> CostReport:
    """Return the count of scores, softmax and a projection over `batch` and `seq`."""
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        node("MatMul", ["x", "t"], ["scores"]),
        node("Softmax", ["scores"], ["p"]),
        node("MatMul", ["p", "x"], ["a"]),
        node("MatMul", ["a", "w"], ["y"]),
    ]
    return count(load(model(nodes, {"x": ["batch", "seq", 7]}, ["y"], {"w": (7, 11)})))
