"""Modules that come without data: the shapes of their inputs are enough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import wua_onnx as wua
from wua_onnx.errors import ConversionError

from .shared import samples


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(11, 7), nn.Linear(7, 5)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.head(self.table(words))
        return made


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(7, 5), nn.Linear(3, 5)

    def forward(self, a: torch.Tensor, b: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
        made: torch.Tensor = scale * self.first(a) + self.second(b)
        return made


def image() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2)
    )


def dims(path: Path) -> dict[str, list[str | int]]:
    return {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in onnx.load(path).graph.input
    }


def test_free_dimensions_of_an_image(tmp_path: Path) -> None:
    path = wua.convert(image(), tmp_path / "m.onnx", dims={"input": ("batch", 3, "h", "w")})
    assert dims(path) == {"input": ["batch", 3, "h", "w"]}
    audit = wua.analyze(path, samples(4, 3, 17, 19))
    assert audit.layers["0"].mean_activation is not None


def test_whole_sizes() -> None:
    report = wua.cost(Both(), dims={"a": (4, 7), "b": (4, 3)})
    assert report.macs == 4 * 5 * (7 + 3)


def test_indices_where_real_numbers_do_not_fit(tmp_path: Path) -> None:
    path = wua.convert(Tagger(), tmp_path / "m.onnx", dims={"words": ("batch", "seq")})
    assert dims(path) == {"words": ["batch", "seq"]}
    assert onnx.load(path).graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.INT64


def test_the_outputs_are_compared() -> None:
    audit = wua.analyze(Both(), dims={"a": (4, 7), "b": (4, 3)})
    assert audit.model["max_difference"] < 1e-6


def test_a_shape_that_is_missing_is_named() -> None:
    with pytest.raises(ConversionError, match=r"shapes of its inputs in dims .*, got none of b: a PyTorch module does"):
        wua.cost(Both(), dims={"a": (4, 7)})
    with pytest.raises(
        ConversionError, match=r"shapes of its inputs in dims .*, got none of a, b: a PyTorch module does not say"
    ):
        wua.cost(Both())


def test_shapes_that_the_module_does_not_take() -> None:
    with pytest.raises(ConversionError, match=r"random numbers of the stated shapes are not what it takes: .*mat1"):
        wua.cost(Both(), dims={"a": (4, 6), "b": (4, 3)})
    assert np.isfinite(float(wua.cost(Both(), dims={"a": (4, 7), "b": (4, 3)}).flops))
