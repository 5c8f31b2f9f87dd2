"""Batch normalisations that exporters fold into weights are named in the layers that have them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

import wua_onnx as wua

IMAGES = np.random.default_rng(0).standard_normal((3, 2, 6, 6)).astype(np.float32)


class Normed(nn.Module):
    """A convolution with a batch normalisation behind it, in a block, and one without."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU())
        self.up = nn.ConvTranspose2d(5, 3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.up(self.block(x))
        return result


def test_in_a_converted_model() -> None:
    layers = wua.analyze(Normed().eval(), IMAGES).layers
    assert {name: layer.folded for name, layer in layers.items()} == {"block.0": "block.1", "up": None}
    assert layers["block.0"].module_class == "Conv2d"


def test_in_a_file_that_pytorch_wrote(tmp_path: Path) -> None:
    """It has the normalisation's class in the place of the convolution's, which is nowhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own
        program = torch.onnx.export(Normed().eval(), (torch.tensor(IMAGES),), dynamo=True, verbose=False)
    assert program is not None
    program.save(tmp_path / "m.onnx")
    audit = wua.analyze(tmp_path / "m.onnx", IMAGES)
    assert {name: layer.folded for name, layer in audit.layers.items()} == {"block.0": "block.1", "up": None}
    assert audit.layers["block.0"].module_class is None
    assert "batch normalisation in its weights" in audit.to_html()
