"""Parameters that take part in no output are told of: PyTorch's exporter leaves them out of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from wua_onnx import analyze
from wua_onnx.converters import to_onnx

X = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)


class Net(nn.Module):
    """Two layers in use, and parts to add; what a part in `run` makes goes nowhere."""

    first: nn.Module

    def __init__(self, run: tuple[str, ...] = (), /, **parts: nn.Module) -> None:
        super().__init__()
        self.first, self.last, self.run = nn.Linear(5, 7), nn.Linear(7, 3), run
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        for name in self.run:
            self.get_submodule(name)(hidden)
        result: torch.Tensor = self.last(torch.relu(hidden))
        return result


def dropped(model: Any, path: Path) -> tuple[str, ...]:
    """Return the warnings, without what all begin with."""
    begin = f"PyTorch module {type(model).__name__}: "
    return tuple(warning.removeprefix(begin) for warning in to_onnx(model, path, X).warnings)


def in_file(path: Path) -> int:
    """Return how many values the initializers hold."""
    return sum(int(np.prod(value.dims)) for value in onnx.load(path).graph.initializer)


USED = 5 * 7 + 7 + 7 * 3 + 3


@pytest.mark.parametrize("run", [(), ("extra",)], ids=["never run", "run for nothing"])
def test_a_layer_without_effect(tmp_path: Path, run: tuple[str, ...]) -> None:
    model = Net(extra=nn.Sequential(nn.Linear(7, 11), nn.ReLU(inplace=True)))
    model.run = run
    (warning,) = dropped(model, tmp_path / "m.onnx")
    assert warning == (
        f"{7 * 11 + 11} of {USED + 7 * 11 + 11} parameters take part in no output and are not in the file: "
        "those of 'extra'"
    )
    assert in_file(tmp_path / "m.onnx") == USED


def test_the_audit_says_so() -> None:
    audit = analyze(Net(extra=nn.Linear(7, 11)), X)
    assert any("88 of 154 parameters take part in no output" in told for told in audit.to_dict()["model"]["warnings"])


def test_a_few_modules_are_named_and_the_parameters_of_one_that_is_used_in_part(tmp_path: Path) -> None:
    class Half(nn.Linear):
        def __init__(self) -> None:
            super().__init__(7, 7)
            self.scale = nn.Parameter(torch.ones(13))

    model = Net(**{f"extra{i}": nn.Linear(2, 2) for i in range(5)})
    model.first = nn.Sequential(model.first, Half())
    (warning,) = dropped(model, tmp_path / "m.onnx")
    assert warning.startswith(f"{13 + 5 * 6} of {USED + 56 + 13 + 5 * 6} parameters")
    assert warning.endswith("those of 'first.1.scale', 'extra0', 'extra1', 'extra2' and 2 more")


def test_a_thousand_is_written_with_a_comma(tmp_path: Path) -> None:
    (warning,) = dropped(Net(extra=nn.Linear(1009, 2, bias=False)), tmp_path / "m.onnx")
    assert warning.startswith("2,018 of 2,084 parameters")


class Buffered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("unused", torch.ones(13))


def tied() -> nn.Module:
    first, extra = nn.Linear(5, 7), nn.Linear(5, 7)
    extra.weight, extra.bias = first.weight, first.bias
    model = Net(extra=extra)
    model.first = first
    return model


def written_to() -> nn.Module:
    class Writing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.shift = nn.Linear(5, 7), nn.Parameter(torch.ones(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = self.first(x).clone()
            hidden[:, 2:4] += self.shift
            return hidden

    return Writing()


@pytest.mark.parametrize(
    "model",
    [
        Net(),
        Net(extra=Buffered()),
        tied(),
        nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7)),
        nn.Sequential(nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 3, 2), nn.BatchNorm1d(3)),
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 3))),
        written_to(),
        nn.Sequential(nn.Unflatten(1, (1, 5)), nn.LSTM(5, 3, 2, bidirectional=True)),
    ],
    ids=["all used", "buffer", "tied", "norm", "folded norm", "weight norm", "written to", "recurrent"],
)
def test_what_is_in_use_is_not_told_of(tmp_path: Path, model: nn.Module) -> None:
    assert [warning for warning in dropped(model, tmp_path / "m.onnx") if "no output" in warning] == []


def test_programs_too(tmp_path: Path) -> None:
    program = torch.export.export(Net(extra=nn.Linear(7, 11)).eval(), (torch.tensor(X),))
    (warning,) = to_onnx(program, tmp_path / "m.onnx").warnings
    assert "88 of 154 parameters" in warning
