"""The first layer that differs is the one that does: normalisations are folded, activations written in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from wua_onnx.converters import from_pytorch, to_onnx
from wua_onnx.errors import ConversionError

IMAGES = np.random.default_rng(0).standard_normal((5, 3, 7, 7)).astype(np.float32)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5)
        self.second, self.norm2 = nn.Conv2d(5, 11, 3, bias=False), nn.BatchNorm2d(11)
        self.act, self.last = nn.ReLU(inplace=True), nn.Linear(11, 2)
        for norm in (self.norm1, self.norm2):
            norm.weight.data.uniform_(0.5, 1.5)
            norm.bias.data.uniform_(-1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.norm1(self.first(x)))
        x = self.act(self.norm2(self.second(x)))
        made: torch.Tensor = self.last(x.mean((2, 3)))
        return made


@pytest.mark.parametrize(
    ("shape", "layer"), [((5, 3, 3, 3), "norm1"), ((11, 5, 3, 3), "norm2"), ((2, 11), "last")], ids=str
)
def test_the_first_layer_that_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], layer: str
) -> None:
    translate = from_pytorch._to_onnx

    def wrong(program: Any, where: str) -> ir.Model:
        model: ir.Model = translate(program, where)
        for value in model.graph.initializers.values():
            if value.const_value is not None and tuple(value.const_value.shape) == shape:
                value.const_value = ir.tensor(value.const_value.numpy() + 2, name=value.name)
        return model

    monkeypatch.setattr(from_pytorch, "_to_onnx", wrong)
    torch.manual_seed(0)
    with pytest.raises(ConversionError, match=rf"The first layer that differs is '{layer}', by"):
        to_onnx(Net(), tmp_path / "m.onnx", IMAGES)
