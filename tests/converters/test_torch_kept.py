"""What an audit needs survives PyTorch's exporter: names, classes, lines, tied weights, free lengths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

from wua_onnx.converters import from_pytorch, to_onnx
from wua_onnx.errors import ConversionError

from .shared import samples


@dataclass
class Output:
    logits: torch.Tensor
    state: torch.Tensor


class Everything(nn.Module):
    """Recurrent both ways, attention with stacked projections, a table tied to the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 6)
        self.rnn = nn.LSTM(6, 3, bidirectional=True, batch_first=True)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.wide = nn.Linear(6, 7)
        self.last = nn.Linear(6, 11, bias=False)
        self.last.weight = self.table.weight
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))

    def forward(self, ids: torch.Tensor, *, mask: torch.Tensor | None = None) -> Output:
        hidden = self.rnn(self.table(ids))[0]
        if mask is not None:
            hidden = hidden * mask[..., None]
        hidden = self.attention(hidden, hidden, hidden)[0] * self.scale
        return Output(logits=self.last(hidden), state=self.wide(hidden))


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.up = nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ConvTranspose2d(5, 3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.up(torch.relu(self.norm(self.conv(x))))
        return result


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.first, self.last = nn.Embedding(11, 5), nn.Linear(5, 7), nn.Linear(7, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.last(torch.relu(self.first(self.table(ids))) * mask[..., None])
        return result


def dims_of(path: Path) -> dict[str, list[int | str]]:
    graph = onnx.load(path).graph
    return {i.name: [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim] for i in graph.input}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.manual_seed(0)
    X = {"ids": np.random.default_rng(0).integers(0, 11, (4, 9)), "mask": np.ones((4, 9), np.float32)}
    return to_onnx(Everything(), tmp_path_factory.mktemp("all") / "m.onnx", X)


def test_folded_weights_are_traced_back_to_their_parameters(everything: Any) -> None:
    assert set(everything.layer_names.values()) >= {
        "rnn.weight_ih_l0",
        "rnn.weight_hh_l0",
        "attention.in_proj_weight",
        "attention.out_proj",
        "wide",
    }
    names = {i.name for i in onnx.load(everything.path).graph.initializer}
    assert set(everything.layer_names) <= names
    assert everything.max_difference < 1e-5


def test_tied_weights_are_one_initializer(everything: Any) -> None:
    tables = [i for i in onnx.load(everything.path).graph.initializer if sorted(i.dims) == [6, 11]]
    assert len(tables) == 1
    readers = {n.op_type for n in onnx.load(everything.path).graph.node if tables[0].name in n.input}
    assert readers == {"Gather", "Transpose"}


def test_keyword_inputs_and_dataclass_outputs(everything: Any) -> None:
    graph = onnx.load(everything.path).graph
    assert [i.name for i in graph.input] == ["ids", "mask"]
    last = [output.type.tensor_type.shape.dim[-1].dim_value for output in graph.output]
    assert last == [11, 7]


def test_classes_and_lines_of_modules(everything: Any) -> None:
    module = everything.modules["wide"]
    assert module.class_name.endswith("Linear")
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "state=self.wide" in text)
    assert module.line is not None
    assert module.line.endswith(f"{Path(__file__).name}:{line}")


def test_folded_batch_norm_is_named_in_the_layer(tmp_path: Path) -> None:
    converted = to_onnx(Normed(), tmp_path / "m.onnx", samples(3, 2, 6, 6))
    assert set(converted.layer_names.values()) == {"conv", "up"}
    assert converted.modules["conv"].folded == "norm"
    assert converted.modules["conv"].class_name == "Conv2d"
    assert converted.modules["up"].folded is None


def test_length_of_sequences_is_free(tmp_path: Path) -> None:
    X = (np.random.default_rng(0).integers(0, 11, (4, 9)), np.ones((4, 9), np.float32))
    converted = to_onnx(Tokens(), tmp_path / "m.onnx", X)
    assert dims_of(converted.path) == {"ids": ["batch", "sequence"], "mask": ["batch", "sequence"]}


def test_free_dimensions_may_be_stated(tmp_path: Path) -> None:
    X = (np.random.default_rng(0).integers(0, 11, (4, 9)), np.ones((4, 9), np.float32))
    stated = {"ids": ("rows", 9), "mask": ("rows", 9)}
    converted = to_onnx(Tokens(), tmp_path / "m.onnx", X, dims=stated)
    assert dims_of(converted.path) == {"ids": ["rows", 9], "mask": ["rows", 9]}  # the length is not stated: fixed
    with pytest.raises(ConversionError, match="expected shapes of ids, mask, got one of tokens"):
        to_onnx(Tokens(), tmp_path / "m.onnx", X, dims={"tokens": ("rows", 9)})


def test_features_are_no_length(tmp_path: Path) -> None:
    converted = to_onnx(nn.Conv1d(5, 3, 2), tmp_path / "m.onnx", samples(4, 5, 9))
    assert dims_of(converted.path) == {"input": ["batch", 5, 9]}


def test_bfloat16_is_compared(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)).bfloat16()
    converted = to_onnx(model, tmp_path / "m.onnx", samples(4, 5))
    assert converted.warnings == ()
    assert 0 < converted.max_difference < 5e-2
    types = {i.data_type for i in onnx.load(converted.path).graph.initializer}
    assert types == {onnx.TensorProto.BFLOAT16}


def test_no_more_is_allowed_than_the_rounding_of_the_framework(tmp_path: Path) -> None:
    """Near 100 bfloat16 has steps of 0.5: what is left of y there is mostly rounding, in the framework alone."""

    class Cancelling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = (self.dense(x) + 100) - 100
            return result

    converted = to_onnx(Cancelling().bfloat16(), tmp_path / "m.onnx", samples(4, 5))
    assert 0.05 < converted.max_difference <= 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_beyond_tolerance_the_first_layer_that_differs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    translate = from_pytorch._to_onnx

    def wrong(program: Any, where: str) -> ir.Model:
        model: ir.Model = translate(program, where)
        value = model.graph.initializers["2.weight"]
        assert value.const_value is not None
        value.const_value = ir.tensor(value.const_value.numpy() * 3, name="2.weight")
        return model

    monkeypatch.setattr(from_pytorch, "_to_onnx", wrong)
    model = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 3)).to(dtype)
    with pytest.raises(ConversionError, match=r"The first layer that differs is '2', by") as caught:
        to_onnx(model, tmp_path / "m.onnx", samples(4, 5))
    assert "random" not in str(caught.value)


def test_operator_without_equivalent_is_named_with_its_module(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = torch.special.bessel_j1(x)
            return result

    with pytest.raises(ConversionError, match=r"No ONNX function found .*bessel_j1") as caught:
        to_onnx(nn.Sequential(nn.Linear(5, 3), Odd()), tmp_path / "m.onnx", samples(4, 5))
    assert "module '1' (Odd)" in str(caught.value)
    assert f"{__file__}" in str(caught.value)


def test_a_branch_on_values_is_named_with_its_line(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else x * 2

    with pytest.raises(ConversionError, match=r"data-dependent") as caught:
        to_onnx(nn.Sequential(nn.Linear(5, 3), Branching()), tmp_path / "m.onnx", samples(4, 5))
    assert "in module '1' (" in str(caught.value)
    assert f"of {__file__}" in str(caught.value)
    assert "To try: a branch depends on values: use torch.where" in str(caught.value)


def test_names_are_those_inside_of_what_pytorch_puts_around_a_module(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))
    around: Any = torch.compile(nn.DataParallel(module), backend="eager")
    names = to_onnx(around, tmp_path / "m.onnx", samples(4, 5)).layer_names
    assert names == {"0.weight": "0", "2.weight": "2"}
