"""Small models of several nodes, written down node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

KIND = "pkg.torch.export.graph_signature.InputSpec.kind"


def op(text: str, **attributes: Any) -> onnx.NodeProto:
    """Return the node that `y = Op(a, b)` writes down."""
    outputs, _, call = text.partition(" = ")
    name, _, inputs = call.rstrip(")").partition("(")
    return helper.make_node(name, inputs.split(", "), outputs.split(", "), **attributes)


def network(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, tuple[int, ...] | np.ndarray[Any, Any]],
    x: Sequence[int | str] = (5, 7),
    output: int = TensorProto.FLOAT,
    kinds: dict[str, str] | None = None,
) -> onnx.ModelProto:
    """Return the model from x to y.

    Args:
        nodes: of the graph.
        constants: arrays, or shapes of float32 arrays.
        x: the shape of the input.
        output: the element type of y.
        kinds: what PyTorch's exporter says of the constants.
    """
    arrays = {name: c if isinstance(c, np.ndarray) else np.ones(c, np.float32) for name, c in constants.items()}
    described = []
    for name, kind in (kinds or {}).items():
        described.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, arrays[name].shape))
        described[-1].metadata_props.add(key=KIND, value=kind)
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", output, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
        value_info=described,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


TWO_LAYERS = [op("h = Gemm(x, w, b)"), op("r = Relu(h)"), op("y = Gemm(r, v)")]
WEIGHTS: dict[str, Any] = {"w": (7, 11), "b": (11,), "v": (11, 3)}
