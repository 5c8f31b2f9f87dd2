"""PyTorch's fused attention with any number of axes: what comes out computes the same, whatever the mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from wua_onnx.converters import to_onnx


class Attending(nn.Module):
    def __init__(self, mask: tuple[int, ...] | None, boolean: bool, causal: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.dense, self.causal = nn.Linear(6, 6), causal
        values = torch.randn(mask or ())
        self.mask = None if mask is None else values < values.amax(-1, keepdim=True) if boolean else values

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.dense(x), 2 * x, x[..., :5]
        return nn.functional.scaled_dot_product_attention(query, key, value, self.mask, is_causal=self.causal)


@pytest.mark.parametrize(
    ("shape", "mask", "boolean", "causal"),
    [
        ((4, 2, 7, 6), (2, 7, 7), False, False),
        ((4, 7, 6), None, False, True),
        ((4, 7, 6), (7, 7), True, False),
        ((4, 7, 6), (1, 7, 7), False, False),
        ((4, 3, 2, 7, 6), None, False, True),
        ((4, 3, 2, 7, 6), (2, 7, 7), False, False),
        ((4, 3, 2, 7, 6), (1, 3, 1, 7, 7), True, False),
        ((4, 5, 3, 2, 7, 6), (3, 1, 7, 7), False, False),
    ],
)
def test_attention_over_any_number_of_axes(
    shape: tuple[int, ...], mask: tuple[int, ...] | None, boolean: bool, causal: bool, tmp_path: Path
) -> None:
    X = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    difference = to_onnx(Attending(mask, boolean, causal), tmp_path / "m.onnx", X).max_difference
    assert difference is not None
    assert difference < 1e-5
