"""Small models for the tests of the public functions; their sizes are primes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
INPUTS, HIDDEN, OUTPUTS, SAMPLES = 5, 7, 3, 11
DEAD = (2, 6)


def model(nodes: list[onnx.NodeProto], weights: dict[str, Array], shape: list[Any], name: str = "net") -> Any:
    """A model of one input `x` and one output `y`."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        name,
        [value("x", TensorProto.FLOAT, shape)],
        [value("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array.astype(np.float32), key) for key, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.acme", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def mlp_weights(hidden: int = HIDDEN) -> dict[str, Array]:
    rng = np.random.default_rng(3)
    weights: dict[str, Array] = {
        "hidden.weight": rng.standard_normal((INPUTS, hidden)),
        "hidden.bias": rng.standard_normal(hidden),
        "last.weight": rng.standard_normal((hidden, OUTPUTS)),
        "last.bias": rng.standard_normal(OUTPUTS),
    }
    weights["hidden.bias"][[index for index in DEAD if index < hidden]] = -100.0
    return weights


def mlp(hidden: int = HIDDEN, name: str = "net") -> Any:
    """5 -> hidden, ReLU -> 3, of which hidden neurons 2 and 6 never fire."""
    node = helper.make_node
    nodes = [
        node("Gemm", ["x", "hidden.weight", "hidden.bias"], ["h"], name="gemm1"),
        node("Relu", ["h"], ["r"], name="relu"),
        node("Gemm", ["r", "last.weight", "last.bias"], ["y"], name="gemm2"),
    ]
    return model(nodes, mlp_weights(hidden), ["batch", INPUTS], name)


def data(samples: int = SAMPLES) -> Array:
    return np.random.default_rng(4).standard_normal((samples, INPUTS)).astype(np.float32)


def right_edges(lines: list[str], column: int = -1) -> set[int]:
    """Where the last word of each line ends."""
    return {[match.end() for match in re.finditer(r"\S+", line)][column] for line in lines}
