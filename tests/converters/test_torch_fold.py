"""Kernels that a module standardises at every run are weights of the converted model, whatever their size."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import wua_onnx as wua


class Standardised(nn.Conv2d):
    """As timm writes it for NFNet and BiT."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.weight.reshape(1, self.out_channels, -1)
        made = nn.functional.batch_norm(rows, None, None, training=True, momentum=0.0, eps=1e-6)
        return nn.functional.conv2d(x, made.reshape_as(self.weight), self.bias)


def test_standardised_kernels_of_any_size_are_audited() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(Standardised(3, 31, 3), nn.ReLU(), Standardised(31, 37, 3))
    X = np.random.default_rng(0).standard_normal((4, 3, 7, 7)).astype(np.float32)
    audit = wua.analyze(module, X)
    found = audit.to_dict()
    assert {layer["name"]: layer["weights"] for layer in found["layers"]} == {"0": 3 * 31 * 9, "2": 31 * 37 * 9}
    assert found["coverage"]["declined"] == [
        {"name": "0.bias", "elements": 31, "reason": "bias"},
        {"name": "2.bias", "elements": 37, "reason": "bias"},
    ]
