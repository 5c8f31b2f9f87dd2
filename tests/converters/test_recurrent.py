"""Recurrent layers of Keras, which become Loops: what they cost is what ONNX's own operators of the same size cost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import wua_onnx as wua

keras = pytest.importorskip("keras", reason="needs the extra tensorflow")

STEPS, INPUTS, HIDDEN = 13, 7, 5
GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}


def onnx_layer(op: str, directions: int) -> Any:
    """Return the cost of ONNX's operator, with the symbols batch and steps."""
    weights = {
        "w": np.ones((directions, GATES[op] * HIDDEN, INPUTS), np.float32),
        "r": np.ones((directions, GATES[op] * HIDDEN, HIDDEN), np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node(
                op,
                ["x", "w", "r"],
                ["y"],
                hidden_size=HIDDEN,
                direction="bidirectional" if directions == 2 else "forward",
            )
        ],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["steps", "batch", INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return wua.cost(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))


LAYERS: dict[str, tuple[str, Any]] = {
    "gru": ("GRU", lambda: keras.layers.GRU(HIDDEN)),
    "gru of sequences": ("GRU", lambda: keras.layers.GRU(HIDDEN, return_sequences=True)),
    "gru backwards, reset before": ("GRU", lambda: keras.layers.GRU(HIDDEN, go_backwards=True, reset_after=False)),
    "simple rnn": ("RNN", lambda: keras.layers.SimpleRNN(HIDDEN)),
    "lstm": ("LSTM", lambda: keras.layers.LSTM(HIDDEN)),
    "both ways": ("GRU", lambda: keras.layers.Bidirectional(keras.layers.GRU(HIDDEN, return_sequences=True))),
}


@pytest.mark.parametrize("steps", [STEPS, None])
@pytest.mark.parametrize("name", LAYERS)
def test_a_recurrent_layer_costs_what_the_operator_of_onnx_costs(name: str, steps: int | None, tmp_path: Path) -> None:
    op, layer = LAYERS[name]
    model = keras.Sequential([keras.Input((steps, INPUTS)), layer()])
    report = wua.cost(wua.convert(model, tmp_path / "layer.onnx"))
    expected = onnx_layer(op, 2 if name == "both ways" else 1)
    assert report.bound == "exact"
    macs = re.sub(r"keras_tensor\w*", "steps", str(report.macs))  # what the exporter calls the second axis
    assert macs == str((expected.at(steps=steps) if steps else expected).macs)
