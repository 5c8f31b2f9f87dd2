"""What goes with a neuron: counted by removing one from the network and counting what is left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wua_onnx as wua
from wua_onnx.layers import find_layers
from wua_onnx.layers.consumers import Freed, freed_by_neurons
from wua_onnx.model import load

from .graphs import model, rand

D: dict[str, Any] = {"w": rand(5, 7), "b": rand(7), "v": rand(7, 3), "u": rand(7, 11)}
C: dict[str, Any] = {
    "w": rand(6, 3, 3, 3),
    "b": rand(6),
    "v": rand(6 * 4, 5),
    "k": rand(4, 3, 1, 1),
    "d": rand(6, 1, 3, 3),
}
NORM: dict[str, Any] = {name: np.abs(rand(6, seed=i)) for i, name in enumerate(("s", "o", "m", "t"))}
IMAGE = "(float[N, 3, 4, 4] x) => (float[] y)"
ROW = "(float[N, 5] x) => (float[] y)"
CASES: dict[str, tuple[str, dict[str, Any], Freed]] = {
    "dense, dense": (f"{ROW} {{ a = Gemm(x, w, b) r = Relu(a) y = MatMul(r, v) }}", D, Freed(1, {"v": 3})),
    "a bias that is added": (f"{ROW} {{ a = MatMul(x, w) c = Add(a, b) y = MatMul(c, v) }}", D, Freed(1, {"v": 3})),
    "two layers read it": (
        f"{ROW} {{ a = Gemm(x, w, b) r = Relu(a) p = MatMul(r, v) q = MatMul(r, u) y = Concat<axis = 1>(p, q) }}",
        D, Freed(1, {"v": 3, "u": 11}),
    ),
    "a written-out function": (
        f"{ROW} {{ a = Gemm(x, w, b) s = Sigmoid(a) r = Mul(a, s) y = MatMul(r, v) }}", D, Freed(1, {"v": 3}),
    ),
    "one of those that read it is no layer": (
        f"{ROW} {{ a = Gemm(x, w, b) r = Relu(a) p = MatMul(r, v) q = Softmax(r) y = Concat<axis = 1>(p, q) }}",
        D, Freed(1, {}),
    ),
    "it is an output": (
        "(float[N, 5] x) => (float[] y, float[] r) { a = Gemm(x, w, b) r = Relu(a) y = MatMul(r, v) }", D, Freed(1, {}),
    ),
    "it is added to something": (
        f"{ROW} {{ a = Gemm(x, w, b) r = Relu(a) z = Gemm(x, w2, b2) q = Add(r, z) y = MatMul(q, v) }}",
        {**D, "w2": rand(5, 7, seed=3), "b2": rand(7, seed=3)}, Freed(1, {}),
    ),
    "a bias that others add, too": (
        f"{ROW} {{ a = Gemm(x, w, b) r = Relu(a) p = MatMul(r, v) q = Gemm(x, w2, b) y = Concat<axis = 1>(p, q) }}",
        {**D, "w2": rand(5, 7, seed=3)}, Freed(0, {"v": 3}),
    ),
    "convolution, pooling, dense": (
        f"{IMAGE} {{ a = Conv<pads = [1, 1, 1, 1]>(x, w, b) r = Relu(a) "
        "p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r) f = Flatten(p) y = MatMul(f, v) }",
        C, Freed(1, {"v": 4 * 5}),
    ),
    "convolution in groups": (
        f"{IMAGE} {{ a = Conv(x, w, b) r = Relu(a) y = Conv<group = 2>(r, k) }}", C, Freed(1, {"k": 2}),
    ),
    "depthwise convolution": (
        f"{IMAGE} {{ a = Conv<pads = [1, 1, 1, 1]>(x, w, b) r = Relu(a) y = Conv<group = 6>(r, d) }}",
        C, Freed(1, {"d": 9}),
    ),
    "normalised": (
        f"{IMAGE} {{ a = Conv(x, w, b) n = BatchNormalization(a, s, o, m, t) r = Relu(n) y = Conv<group = 2>(r, k) }}",
        C | NORM, Freed(5, {"k": 2}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_a_neuron_frees(case: str) -> None:
    graph, weights, expected = CASES[case]
    used = {name: value for name, value in weights.items() if f" {name})" in graph or f" {name}," in graph}
    layers = find_layers(load(model(graph, used))).by_name
    assert freed_by_neurons(layers)["w"] == expected


@pytest.mark.parametrize("dead", [(2,), (0, 3, 6)])
def test_the_saving_is_the_difference_to_the_network_without_them(dead: tuple[int, ...]) -> None:
    """A network whose dead neurons are cut out has as many parameters and operations fewer as the finding says."""
    weights = {**D, "b": np.where(np.isin(np.arange(7), dead), -99, D["b"]).astype(np.float32)}
    nodes = f"{ROW} {{ a = Gemm(x, w, b) r = Relu(a) y = MatMul(r, v) }}"
    kept = [neuron for neuron in range(7) if neuron not in dead]
    less = {"w": weights["w"][:, kept], "b": weights["b"][kept], "v": weights["v"][kept]}
    x = rand(31, 5)
    before = wua.analyze(model(nodes, {name: weights[name] for name in "wbv"}), x)
    after = wua.analyze(model(nodes, less), x)
    (finding,) = [found for found in before.findings if found.rule == "dead-neurons"]
    assert finding.params == before.cost.params - after.cost.params
    assert finding.flops == 2 * (before.cost.macs - after.cost.macs)
    count = len(dead)
    told = f"{5 * count} incoming weights, {count} biases or scales and {3 * count} weights of v"
    assert finding.action.startswith(f"remove them, and with them at least {told}: on this data")
