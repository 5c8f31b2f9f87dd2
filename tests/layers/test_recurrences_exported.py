"""Recurrent layers as PyTorch's and TensorFlow's exporters write them out."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import wua_onnx as wua
from wua_onnx.layers import find_layers
from wua_onnx.model import load

from ..recording.naive import assert_outputs_unchanged  # noqa: TID252 - tests are not installed
from .graphs import Array, rand, run

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

BATCH, STEPS, INPUTS, HIDDEN = 2, 3, 7, 5
# How each framework documents the order of its gates: their numbers in the order of ONNX.
TORCH = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}  # i f g o; r z n
KERAS = {"LSTM": (0, 3, 1, 2), "GRU": (0, 1, 2), "RNN": (0,)}  # i f c o; z r h


class Unrolled(nn.Module):
    """A cell in a loop of Python."""

    cell: nn.RNNCellBase

    def __init__(self, cell: nn.RNNCellBase) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        state: Any = torch.zeros(x.shape[0], HIDDEN)
        state = (state, state) if isinstance(self.cell, nn.LSTMCell) else state
        steps = []
        for t in range(STEPS):
            state = self.cell(x[:, t], state)
            steps.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(steps, 1)


class Sequence(nn.Module):
    """The hidden states of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.RNN(INPUTS, HIDDEN, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.layer(x)[0]
        return states


CELLS: dict[str, Callable[[], nn.RNNCellBase]] = {
    "LSTM": lambda: nn.LSTMCell(INPUTS, HIDDEN),
    "GRU": lambda: nn.GRUCell(INPUTS, HIDDEN),
    "RNN": lambda: nn.RNNCell(INPUTS, HIDDEN, nonlinearity="relu"),
}


def exported(module: nn.Module, *, dynamo: bool, free: bool) -> onnx.ModelProto:
    x = torch.zeros(BATCH, STEPS, INPUTS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both exporters warn of what they will change in later versions
        if dynamo:
            shapes = ({0: torch.export.Dim("batch")},) if free else None
            program = torch.onnx.export(
                module, (x,), dynamo=True, dynamic_shapes=shapes, input_names=["x"], verbose=False
            )
            assert program is not None
            proto: onnx.ModelProto = program.model_proto
            return proto
        axes = {"x": {0: "batch"}} if free else None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.onnx")
            torch.onnx.export(module, (x,), path, dynamo=False, dynamic_axes=axes, input_names=["x"])
            return onnx.load(path)


def check(proto: onnx.ModelProto, weights: list[Array], states: Array) -> None:
    """Check that the layers are `weights`, (gates, hidden, in), and that they are read in `states`, units last."""
    name = proto.graph.input[0].name
    x = rand(BATCH, STEPS, INPUTS, seed=9)
    audit = wua.analyze(proto, {name: x})
    found = sorted(find_layers(load(proto)).by_name.items(), key=lambda item: (item[1].shape[0], item[1].shape[2]))
    assert [layer.shape for _, layer in found] == [weight.shape for weight in weights]
    assert sum(layer.macs for layer in audit.layers.values()) == audit.cost.macs
    mean = np.abs(states).mean((0, 1))
    for (layer_name, layer), weight in zip(found, weights, strict=True):
        assert layer.kind == "recurrent"
        np.testing.assert_array_equal(layer.weight(), weight)
        recorded = audit.layers[layer_name].neurons.mean
        assert recorded is not None
        np.testing.assert_allclose(recorded, mean, rtol=0, atol=1e-6 * mean.max())
        scores = audit.layers[layer_name].scores["activation"]
        expected = np.abs(weight) * mean[:, None]
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5 * expected.max())
    assert_outputs_unchanged(proto, {name: x})


def by_gate(weight: Array, order: tuple[int, ...]) -> Array:
    return weight.reshape(len(order), HIDDEN, -1)[list(order)]


@pytest.mark.parametrize("free", [False, True], ids=["fixed batch", "free batch"])
@pytest.mark.parametrize("dynamo", [False, True], ids=["TorchScript", "dynamo"])
@pytest.mark.parametrize("cell", CELLS)
def test_cells_of_pytorch_in_a_loop_of_python(cell: str, dynamo: bool, free: bool) -> None:
    torch.manual_seed(3)
    module = Unrolled(CELLS[cell]()).eval()
    proto = exported(module, dynamo=dynamo, free=free)
    with torch.no_grad():
        states = module(torch.from_numpy(rand(BATCH, STEPS, INPUTS, seed=9))).numpy()
    weights = [module.cell.weight_hh, module.cell.weight_ih]
    check(proto, [by_gate(weight.detach().numpy(), TORCH[cell]) for weight in weights], states)


def test_a_layer_that_the_exporter_unrolls() -> None:
    """The product with the input is taken out of the steps, and the first state is none."""
    torch.manual_seed(3)
    module = Sequence().eval()
    proto = exported(module, dynamo=True, free=False)
    assert "RNN" not in {node.op_type for node in proto.graph.node}
    with torch.no_grad():
        states = module(torch.from_numpy(rand(BATCH, STEPS, INPUTS, seed=9))).numpy()
    weights = [module.get_parameter(f"layer.weight_{which}_l0") for which in ("hh", "ih")]
    check(proto, [weight.detach().numpy()[None] for weight in weights], states)


LAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "GRU": ("GRU", {}),
    "GRU, reset before": ("GRU", {"reset_after": False}),
    "GRU backwards": ("GRU", {"go_backwards": True}),
    "GRU unrolled": ("GRU", {"unroll": True}),
    "LSTM with hard gates": ("LSTM", {"recurrent_activation": "hard_sigmoid"}),
    "LSTM unrolled": ("LSTM", {"unroll": True}),
    "SimpleRNN": ("SimpleRNN", {}),
    "SimpleRNN with ReLU": ("SimpleRNN", {"activation": "relu", "use_bias": False}),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_keras(name: str, tmp_path: Path) -> None:
    kind, options = LAYERS[name]
    keras.utils.set_random_seed(3)
    layer = getattr(keras.layers, kind)(HIDDEN, return_sequences=True, **options)
    model = keras.Sequential([keras.Input((STEPS, INPUTS)), layer])
    proto = onnx.load(wua.convert(model, tmp_path / "layer.onnx"))
    states = run(proto, {proto.graph.input[0].name: rand(BATCH, STEPS, INPUTS, seed=9)})[0]
    kernel, recurrent = layer.get_weights()[:2]
    order = KERAS["RNN" if kind == "SimpleRNN" else kind]
    check(proto, [by_gate(weight.T, order) for weight in (recurrent, kernel)], states)


@pytest.mark.parametrize("unroll", [False, True], ids=["loop", "unrolled"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_layers_of_keras_are_read_at_the_steps_that_their_mask_keeps(kind: str, unroll: bool, tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    layer = getattr(keras.layers, kind)(HIDDEN, return_sequences=True, unroll=unroll, name="layer")
    model = keras.Sequential([keras.Input((STEPS, INPUTS)), keras.layers.Masking(), layer])
    x = np.array(rand(BATCH, STEPS, INPUTS, seed=9))
    valid = np.arange(STEPS) < np.array([[1 + sample % STEPS] for sample in range(BATCH)])
    x[~valid] = 0
    proto = onnx.load(wua.convert(model, tmp_path / "layer.onnx"))
    audit = wua.analyze(proto, {proto.graph.input[0].name: x})
    order = KERAS["RNN" if kind == "SimpleRNN" else kind]
    wanted = np.abs(model(x).numpy())[valid].mean(0)
    for weight, parameter in zip(layer.get_weights()[:2], "WR", strict=True):
        found = audit.layers[f"layer.{parameter}"]
        np.testing.assert_array_equal(found.weight, by_gate(weight.T, order))
        assert found.neurons.mean is not None
        np.testing.assert_allclose(found.neurons.mean, wanted, rtol=0, atol=1e-6 * wanted.max())


def test_words_that_are_padding_are_skipped(tmp_path: Path) -> None:
    """The mask of an embedding is the opposite of what the file computes."""
    keras.utils.set_random_seed(3)
    words = [keras.layers.Embedding(11, INPUTS, mask_zero=True), keras.layers.LSTM(HIDDEN, name="layer")]
    model = keras.Sequential([keras.Input((STEPS,), dtype="int32"), *words])
    proto = onnx.load(wua.convert(model, tmp_path / "layer.onnx"))
    assert [(layer.name, layer.kind) for layer in find_layers(load(proto)).by_name.values()][1:] == [
        ("layer.W", "recurrent"),
        ("layer.R", "recurrent"),
    ]


def test_both_directions_are_layers_of_their_own(tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    layer = keras.layers.Bidirectional(keras.layers.GRU(HIDDEN, return_sequences=True, name="gru"), name="both")
    model = keras.Sequential([keras.Input((STEPS, INPUTS)), layer])
    proto = onnx.load(wua.convert(model, tmp_path / "layer.onnx"))
    x = rand(BATCH, STEPS, INPUTS, seed=9)
    audit = wua.analyze(proto, {proto.graph.input[0].name: x})
    mean = np.abs(run(proto, {proto.graph.input[0].name: x})[0]).mean((0, 1))
    parts = {f"both/{way}_gru.{weight}": way for way in ("forward", "backward") for weight in "WR"}
    assert audit.layers.keys() == parts.keys()
    for each, way in parts.items():
        recorded = audit.layers[each].neurons.mean
        assert recorded is not None
        wanted = mean[:HIDDEN] if way == "forward" else mean[HIDDEN:]
        np.testing.assert_allclose(recorded, wanted, rtol=0, atol=1e-6 * mean.max())
