"""Recurrent convolutions, which exporters write out: layers whose weights are filters by gate."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import wua_onnx as wua

from .graphs import Array, rand

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

SAMPLES, STEPS, FILTERS, KERNEL = 2, 3, 5, 3
SIZES: dict[int, tuple[int, ...]] = {1: (11,), 2: (7, 9), 3: (5, 4, 6)}
CHANNELS = 2
ONNX = (0, 3, 1, 2)  # Keras's gates are input, forget, cell, output
GATES = ["input", "output", "forget", "cell"]


def by_gate(kernel: Array) -> Array:
    """Return a kernel of Keras, (*size, in, gates * filters), as (gates, filters, in, *size)."""
    gates = np.stack(np.split(kernel, len(ONNX), -1))[list(ONNX)]
    return np.moveaxis(gates, (-1, -2), (1, 2))


def assert_is_layer(layer: wua.LayerAudit, weight: Array, states: Array, axis: int) -> None:
    """Check the weight and what is measured against `states`, filters along `axis`."""
    assert (layer.kind, layer.neuron_axis, [gate.name for gate in layer.gates]) == ("recurrent", 1, GATES)
    mean = np.abs(states).mean(tuple(place for place in range(states.ndim) if place != axis))
    importance = np.abs(weight, dtype=np.float64) * mean.reshape(1, -1, *[1] * (weight.ndim - 2))
    scores = layer.scores["activation"].reshape(weight.shape)  # a convolution along one axis may have another of size 1
    np.testing.assert_allclose(scores, importance, rtol=0, atol=1e-5 * importance.max())
    shares = importance.ravel() / importance.sum()
    entropy = -(shares * np.log(shares)).sum()
    assert layer.metrics.total == weight.size
    assert layer.metrics.entropy == pytest.approx(entropy, rel=1e-5)
    assert layer.metrics.utilization == pytest.approx(np.exp(entropy) / weight.size, rel=1e-5)
    assert [gate.share for gate in layer.gates] == pytest.approx(
        importance.reshape(len(GATES), -1).sum(1) / importance.sum(), rel=1e-4
    )


@pytest.mark.parametrize("unroll", [False, True], ids=["loop", "unrolled"])
@pytest.mark.parametrize("rank", SIZES)
def test_a_recurrent_convolution_of_keras_has_two_layers(rank: int, unroll: bool, tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    kind = getattr(keras.layers, f"ConvLSTM{rank}D")
    layer = kind(FILTERS, KERNEL, padding="same", return_sequences=True, unroll=unroll, name="conv_lstm")
    model = keras.Sequential([keras.Input((STEPS, *SIZES[rank], CHANNELS)), layer])
    X = rand(SAMPLES, STEPS, *SIZES[rank], CHANNELS, seed=9)
    audit, states = wua.analyze(model, X), np.asarray(model(X))
    gc.collect()  # the file lives as long as an audit that can still read weights from it
    kernel, recurrent, bias = layer.get_weights()
    if unroll:  # TensorFlow cuts the weights apart before tf2onnx sees them: a layer for each gate of each
        gates = [layer.gates[0].name for layer in audit.layers.values() if layer.kind == "recurrent"]
        assert sorted(gates) == sorted(GATES * 2)
        assert sum(layer.metrics.total for layer in audit.layers.values()) == kernel.size + recurrent.size
        return
    assert list(audit.layers) == ["conv_lstm.kernel", "conv_lstm.recurrent_kernel"]
    for found, weight in zip(audit.layers.values(), (kernel, recurrent), strict=True):
        assert_is_layer(found, by_gate(weight), states, axis=-1 + states.ndim)
        assert found.module_class == kind.__name__
    assert audit.coverage["parameters"] == model.count_params()
    assert audit.coverage["analysed"] == kernel.size + recurrent.size
    assert [entry["elements"] for entry in audit.coverage["declined"]] == [bias.size]
    positions = STEPS * int(np.prod(SIZES[rank]))  # padded ones count as computed
    assert [found.macs for found in audit.layers.values()] == [positions * kernel.size, positions * recurrent.size]


class Cell(nn.Module):
    """One convolution of input and state together, or one of each, as found in most code for PyTorch."""

    def __init__(self, together: bool) -> None:
        super().__init__()
        self.together = together
        inputs = CHANNELS + FILTERS if together else CHANNELS
        self.gates = nn.Conv2d(inputs, 4 * FILTERS, KERNEL, padding=1)
        self.recurrent = nn.Conv2d(FILTERS, 4 * FILTERS, KERNEL, padding=1, bias=False)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        gates = self.gates(torch.cat([x, h], 1)) if self.together else self.gates(x) + self.recurrent(h)
        i, f, o, g = torch.split(gates, FILTERS, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class Steps(nn.Module):
    """A cell in a loop of Python."""

    def __init__(self, together: bool) -> None:
        super().__init__()
        self.cell = Cell(together)
        self.head = nn.Conv2d(FILTERS, 1, 1)

    def states(self, x: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        h = c = torch.zeros(x.shape[0], FILTERS, *SIZES[2])
        for step in range(STEPS):
            h, c = self.cell(x[:, step], h, c)
            found.append(h)
        return found

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.states(x)[-1])
        return result


@pytest.mark.parametrize(("together", "names"), [(True, ["gates"]), (False, ["gates", "recurrent"])])
def test_a_recurrent_convolution_in_a_loop_of_python(together: bool, names: Sequence[str]) -> None:
    torch.manual_seed(3)
    module: Any = Steps(together).eval()
    X = rand(SAMPLES, STEPS, CHANNELS, *SIZES[2], seed=9)
    audit = wua.analyze(module, X)
    assert list(audit.layers) == [*(f"cell.{name}" for name in names), "head"]
    with torch.no_grad():
        states = torch.stack(module.states(torch.from_numpy(X)), 1).numpy()
    for name in names:
        weight = getattr(module.cell, name).weight.detach().numpy()
        gates = weight.reshape(4, FILTERS, *weight.shape[1:])[[0, 2, 1, 3]]  # i f o g
        assert_is_layer(audit.layers[f"cell.{name}"], gates, states, axis=2)
    assert audit.layers["head"].kind == "convolution"
