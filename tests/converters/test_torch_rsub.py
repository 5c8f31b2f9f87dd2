"""Numbers less tensors, of every type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import wua_onnx as wua
from wua_onnx.converters import to_onnx

from .shared import run


class Mask(nn.Module):
    """A mask as XLNet makes it, and what it leaves of an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return 1.0 - x, 2 - x, torch.rsub(x, 2.5, alpha=3), self.dense((1.0 - x).float())


@pytest.mark.parametrize("dtype", ["int64", "int32", "float32"])
def test_a_number_less_a_tensor(dtype: str, tmp_path: Path) -> None:
    x = np.arange(15).reshape(3, 5).astype(dtype)
    converted = to_onnx(Mask(), tmp_path / "m.onnx", x)
    assert converted.warnings == ()
    for found, expected in zip(run(tmp_path / "m.onnx", x)[:3], Mask()(torch.tensor(x)), strict=False):
        np.testing.assert_array_equal(found, expected.numpy())
        assert found.dtype == expected.numpy().dtype
    assert list(wua.analyze(tmp_path / "m.onnx", x).layers) == ["dense"]
