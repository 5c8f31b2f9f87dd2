"""Layers bear the paths of `named_modules()` whatever stands between the parameter and its use."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import wua_onnx as wua

X = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 11), nn.Linear(11, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.last(torch.relu(self.first(x)))
        return made


class Autocast(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return super().forward(x).float()


def normed() -> nn.Module:
    net = Net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch on its own older function, which many models use
        nn.utils.weight_norm(net.first)
        nn.utils.spectral_norm(net.last)
    return net


def masked() -> nn.Module:
    net = Net()
    prune.l1_unstructured(net.first, "weight", amount=0.5)  # type: ignore[no-untyped-call] # torch's own
    return net


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Linear(5, 5), nn.Linear(5, 5, bias=False)
        self.head.weight = self.table.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.head(torch.tanh(self.table(x)))
        return made


class Gates(nn.Module):
    """Parameters of a module without a path, and some whose names look like those of a norm."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        for name, shape in {"w1": (5, 7), "w2": (7, 3), "weight_v": (3, 11), "weight_o": (11, 2)}.items():
            setattr(self, name, nn.Parameter(torch.randn(shape, generator=generator)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for weight in self.parameters():
            x = torch.relu(x) @ weight
        return x


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (Autocast(), ["first", "last"]),
        (normed(), ["first", "last"]),
        (masked(), ["first", "last"]),
        (Tied(), ["table"]),
        (Gates(), ["w1", "w2", "weight_v", "weight_o"]),
        (nn.Linear(5, 3), ["weight"]),
    ],
    ids=["cast", "normed", "masked", "tied", "of the root", "the root"],
)
def test_names(module: nn.Module, names: list[str]) -> None:
    assert list(wua.analyze(module, X).layers) == names
