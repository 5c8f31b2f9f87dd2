"""Operators that generate text: their decoder times a symbol."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.cost import CostReport, count
from wua_onnx.cost.value import Verdict
from wua_onnx.errors import ShapeError
from wua_onnx.model import load

from .nodes import FLOAT

INT32 = TensorProto.INT32
VOCABULARY, HIDDEN = 13, 5


def language_model(name: str, tokens: str) -> onnx.GraphProto:
    """Embedding rows times the vocabulary: tokens × HIDDEN × VOCABULARY macs."""
    weights = [np.ones((VOCABULARY, HIDDEN), np.float32), np.ones((HIDDEN, VOCABULARY), np.float32)]
    return helper.make_graph(
        [helper.make_node("Gather", ["e", "ids"], ["h"]), helper.make_node("MatMul", ["h", "v"], ["logits"])],
        name,
        [helper.make_tensor_value_info("ids", INT32, ["batch", tokens])],
        [helper.make_tensor_value_info("logits", FLOAT, ["batch", tokens, VOCABULARY])],
        [numpy_helper.from_array(array, name) for name, array in zip("ev", weights, strict=True)],
    )


def search(op: str, **graphs: onnx.GraphProto) -> CostReport:
    settings: dict[str, Any] = {"eos_token_id": 1, "pad_token_id": 0, "decoder_start_token_id": 2}
    node = helper.make_node(
        op, ["prompt", "most"], ["sequences"], name="generate", domain="com.microsoft", **settings, **graphs
    )
    graph = helper.make_graph(
        [node],
        "search",
        [helper.make_tensor_value_info("prompt", INT32, ["batch", "prompt"])],
        [helper.make_tensor_value_info("sequences", INT32, None)],
        [numpy_helper.from_array(np.array([20], np.int32), "most")],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return count(load(helper.make_model(graph, opset_imports=opsets, ir_version=10)))


@pytest.mark.parametrize("op", ["GreedySearch", "Sampling", "BeamSearch", "WhisperBeamSearch"])
def test_the_decoder_is_run_once_a_token_and_the_prompt_read_once(op: str) -> None:
    report = search(op, init_decoder=language_model("first", "prompt"), decoder=language_model("next", "step"))
    (node,) = report.by_node
    assert node.verdict is Verdict.ESTIMATE
    assert report.symbols == ("batch", "prompt", "step", "trips(generate)")
    bound = report.at({"batch": 3, "prompt": 7, "step": 1, "trips(generate)": 11})
    assert bound.macs == sum(3 * tokens * HIDDEN * VOCABULARY for tokens in (7, *[1] * 11))


def test_a_search_without_a_decoder_is_malformed() -> None:
    with pytest.raises(ShapeError, match=r"GreedySearch \(node 'generate'\): expected a graph as its attribute"):
        search("GreedySearch")
