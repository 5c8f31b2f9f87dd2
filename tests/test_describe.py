from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import helper

import wua_onnx as wua

from .small_models import model

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_neurons_that_are_always_on_are_counted_where_firing_is_recorded() -> None:
    """Of 5 neurons, biases of ±100 hold two above 0 for every sample and one below."""
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    weights = {"w": np.random.default_rng(7).normal(size=(3, 5)), "b": np.array([100.0, 0.0, -100.0, 100.0, 0.0])}
    relu = model(nodes, weights, ["batch", 3])
    X = np.random.default_rng(11).normal(size=(97, 3)).astype(np.float32)
    [layer] = wua.analyze(relu, X, statistics=["firing"]).to_dict()["layers"]
    assert (layer["always_on"], layer["dead_neurons"]) == (2, 1)
    [layer] = wua.analyze(relu, X).to_dict()["layers"]
    assert layer["always_on"] is None


def test_strongest_neurons_come_with_their_importance() -> None:
    audit = wua.analyze(EXAMPLES / "digits.onnx", EXAMPLES / "digits.npz")
    layer = audit.layers["fc1"]
    told = audit.to_dict()["layers"][2]["criteria"]["activation"]
    order = np.argsort(-layer.neuron_importance, kind="stable")[: len(told["strongest"])]
    assert told["strongest"] == order.tolist()
    np.testing.assert_allclose(told["neuron_importance"], layer.neuron_importance[order])
