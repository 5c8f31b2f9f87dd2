"""Recurrent layers of PyTorch: ONNX's own operators, over any number of steps, under the names of their parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import wua_onnx as wua
from wua_onnx.converters import Converted, to_onnx

from .shared import samples

SAMPLES, STEPS, INPUTS, HIDDEN = 4, 13, 7, 5


class Net(nn.Module):
    """A recurrent layer with every result of it in use."""

    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        output, states = self.rnn(x)
        return (output, *states) if isinstance(states, tuple) else (output, states)


class Stepwise(nn.Module):
    """A loop of the author's own over the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(INPUTS, HIDDEN)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = torch.zeros(x.shape[0], HIDDEN)
        for step in x.unbind(1):
            state = self.cell(step, state)
        return state


def dims(converted: Converted) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in onnx.load(converted.path).graph.input[0].type.tensor_type.shape.dim]


def operators(converted: Converted) -> list[str]:
    return [node.op_type for node in onnx.load(converted.path).graph.node]


def assert_same(model: nn.Module, converted: Converted, x: np.ndarray[Any, Any]) -> None:
    session = onnxruntime.InferenceSession(converted.path, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = model(torch.tensor(x))
    for one, other in zip(expected, session.run(None, {session.get_inputs()[0].name: x}), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


LAYERS: dict[str, tuple[str, nn.RNNBase]] = {
    "lstm": ("LSTM", nn.LSTM(INPUTS, HIDDEN, batch_first=True)),
    "lstm both ways, two layers": ("LSTM", nn.LSTM(INPUTS, HIDDEN, 2, batch_first=True, bidirectional=True)),
    "gru": ("GRU", nn.GRU(INPUTS, HIDDEN, batch_first=True)),
    "gru without biases": ("GRU", nn.GRU(INPUTS, HIDDEN, 2, bias=False, batch_first=True)),
    "rnn": ("RNN", nn.RNN(INPUTS, HIDDEN, batch_first=True)),
    "rnn of relu, both ways": (
        "RNN",
        nn.RNN(INPUTS, HIDDEN, nonlinearity="relu", bidirectional=True, batch_first=True),
    ),
}
# No operator of ONNX projects the hidden state.
PROJECTING: dict[str, nn.LSTM] = {
    "one layer": nn.LSTM(INPUTS, HIDDEN, proj_size=3, batch_first=True),
    "both ways, two layers": nn.LSTM(INPUTS, HIDDEN, 2, proj_size=3, batch_first=True, bidirectional=True),
    "without biases, steps first": nn.LSTM(INPUTS, HIDDEN, proj_size=3, bias=False),
    "big": nn.LSTM(INPUTS, 307, proj_size=101, batch_first=True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_any_number_of_steps(name: str, tmp_path: Path) -> None:
    op, layer = LAYERS[name]
    model = Net(layer).eval()
    converted = to_onnx(model, tmp_path / "m.onnx", samples(SAMPLES, STEPS, INPUTS))
    assert dims(converted) == ["batch", "sequence", INPUTS]
    assert operators(converted).count(op) == layer.num_layers
    assert converted.warnings == ()
    assert_same(model, converted, samples(3, 11, INPUTS))
    weights = [name for name, _ in layer.named_parameters() if "weight" in name and not name.endswith("_reverse")]
    assert list(converted.layer_names.values()) == [f"rnn.{name}" for name in weights]


def test_steps_before_samples_are_told_apart(tmp_path: Path) -> None:
    model = Net(nn.LSTM(INPUTS, HIDDEN)).eval()
    converted = to_onnx(model, tmp_path / "m.onnx", samples(STEPS, SAMPLES, INPUTS))
    assert dims(converted) == ["sequence", "batch", INPUTS]
    assert_same(model, converted, samples(11, 3, INPUTS))


def test_big_weights_are_initializers_of_the_operator(tmp_path: Path) -> None:
    """The exporter leaves weights of more than 8,192 values as Slice and Concat."""
    model = Net(nn.LSTM(INPUTS, 307, batch_first=True, bidirectional=True)).eval()
    converted = to_onnx(model, tmp_path / "m.onnx", samples(SAMPLES, STEPS, INPUTS))
    graph = onnx.load(converted.path).graph
    (layer,) = [node for node in graph.node if node.op_type == "LSTM"]
    assert set(layer.input[1:4]) <= {value.name for value in graph.initializer}
    assert sorted(converted.layer_names) == ["rnn.weight_hh_l0", "rnn.weight_ih_l0"]
    assert_same(model, converted, samples(3, 11, INPUTS))


@pytest.mark.parametrize("name", PROJECTING)
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")  # PyTorch is only slower
def test_a_projected_state_over_any_number_of_steps(name: str, tmp_path: Path) -> None:
    layer = PROJECTING[name]
    model, directions = Net(layer).eval(), 1 + layer.bidirectional
    x = samples(SAMPLES, STEPS, INPUTS) if layer.batch_first else samples(STEPS, SAMPLES, INPUTS)
    converted = to_onnx(model, tmp_path / "m.onnx", x)
    assert dims(converted) == [*(["batch", "sequence"] if layer.batch_first else ["sequence", "batch"]), INPUTS]
    assert operators(converted).count("Scan") == layer.num_layers * directions
    assert converted.warnings == ()
    assert_same(model, converted, samples(3, 11, INPUTS))
    audit = wua.analyze(model, x, batch_axis=int(not layer.batch_first))
    wanted = {f"rnn.{name}": weight for name, weight in layer.named_parameters() if "weight" in name}
    assert audit.layers.keys() == wanted.keys()
    for path, weight in wanted.items():
        found, size = audit.layers[path], weight.shape[1]
        assert found.kind == ("dense" if "weight_hr" in path else "recurrent")
        assert found.weight_shape == ((size, 3) if "weight_hr" in path else (4, HIDDEN, size)) or name == "big"
        assert found.module_class == "LSTM"
    assert audit.coverage["parameters"] == sum(parameter.numel() for parameter in layer.parameters())
    assert audit.cost.macs == STEPS * sum(weight.numel() for weight in wanted.values())


def test_a_fixed_number_of_steps_is_told(tmp_path: Path) -> None:
    converted = to_onnx(Stepwise().eval(), tmp_path / "m.onnx", samples(SAMPLES, STEPS, INPUTS))
    assert dims(converted) == ["batch", STEPS, INPUTS]
    (warning,) = converted.warnings
    assert f"the length of sequences is fixed to {STEPS}: forward uses it as a number" in warning


def test_what_is_free_for_others_is_left_as_it_was(tmp_path: Path) -> None:
    """PyTorch's table of decompositions is its own again after a conversion."""
    model = Net(nn.LSTM(INPUTS, HIDDEN, batch_first=True)).eval()
    operator = torch.ops.aten.lstm.input
    before = dict(operator.py_kernels), torch._decomp.decomposition_table[operator]
    to_onnx(model, tmp_path / "m.onnx", samples(SAMPLES, STEPS, INPUTS))
    assert (operator.py_kernels, torch._decomp.decomposition_table[operator]) == before
