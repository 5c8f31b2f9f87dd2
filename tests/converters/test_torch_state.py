"""A module is given back as it was, and only its tensors are outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from wua_onnx.converters import to_onnx

X = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)


class Counting(nn.Module):
    """Writes into one buffer and puts another in the place of the second."""

    runs: torch.Tensor
    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("runs", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(5))
        self.dense = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.runs.add_(1)
        self.mean = self.mean + x.mean(0)
        made: torch.Tensor = self.dense(x)
        return made


def test_buffers_hold_what_they_held(tmp_path: Path) -> None:
    module = Counting()
    before = dict(module.named_buffers())
    to_onnx(module, tmp_path / "m.onnx", X)
    for name, buffer in module.named_buffers():
        assert buffer is before[name]
        assert not buffer.any(), name


class Talkative(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        made = self.dense(x)
        return {"size": x.shape[0], "first": made, "none": None, "text": "logits", "rest": [3, made.sum(-1), 0.5]}


def test_outputs_that_are_no_tensors_are_left_out(tmp_path: Path) -> None:
    converted = to_onnx(Talkative(), tmp_path / "m.onnx", X)
    assert converted.max_difference is not None
    outputs = onnx.load(converted.path).graph.output
    assert [len(output.type.tensor_type.shape.dim) for output in outputs] == [2, 1]


def test_a_program_still_returns_them(tmp_path: Path) -> None:
    program = torch.export.export(Talkative(), (torch.from_numpy(X),))
    to_onnx(program, tmp_path / "m.onnx", X)
    assert program.module()(torch.from_numpy(X))["rest"][0] == 3


def test_stated_dimensions_need_not_hold_for_every_size(tmp_path: Path) -> None:
    """A kernel of 3 takes no image of 2 pixels."""
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 2, 3))
    images = np.zeros((4, 3, 11, 7), np.float32)
    stated = {"input": ("batch", 3, "height", "width")}
    converted = to_onnx(module, tmp_path / "m.onnx", images, dims=stated)
    shape = onnx.load(converted.path).graph.input[0].type.tensor_type.shape
    assert [dim.dim_param or dim.dim_value for dim in shape.dim] == ["batch", 3, "height", "width"]
