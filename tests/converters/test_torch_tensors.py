"""Tensors for a module: where its own lie, in float32 where it says so, attention with a bias."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from wua_onnx.converters import _torch_tensors, to_onnx
from wua_onnx.errors import ConversionError

CPU, ELSEWHERE = torch.device("cpu"), torch.device("meta")  # the one other device that every machine has


class Buffered(nn.Module):
    """Its weights are a buffer, as those of a fixed projection are."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.register_buffer("table", torch.ones(3, 5, dtype=dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.get_buffer("table")


class Split(nn.Module):
    """Its first part is elsewhere, its second on the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 5, device=ELSEWHERE), nn.Linear(5, 2)


SAMPLES = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("owner", "value", "device"),
    [
        (nn.Linear(3, 5), SAMPLES, CPU),
        (nn.Linear(3, 5, device=ELSEWHERE), SAMPLES, ELSEWHERE),
        (Buffered().to(ELSEWHERE), SAMPLES, ELSEWHERE),
        (Split(), SAMPLES, ELSEWHERE),
        (nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2, device=ELSEWHERE)), SAMPLES, CPU),
        (
            nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2, device=ELSEWHERE)),
            torch.ones(2, 3, device=ELSEWHERE),
            ELSEWHERE,
        ),
        (nn.ReLU(), SAMPLES, CPU),
        (nn.ReLU(), torch.ones(2, 3, device=ELSEWHERE), ELSEWHERE),
    ],
)
def test_inputs_go_where_the_module_lies(owner: nn.Module, value: Any, device: torch.device) -> None:
    (made,) = _torch_tensors.tensors((value,), owner)
    assert made.device == device


def test_floats_are_those_of_buffers_where_there_are_no_parameters() -> None:
    (made,) = _torch_tensors.tensors((SAMPLES,), Buffered(torch.float64))
    assert made.dtype == torch.float64


@pytest.mark.parametrize(("module", "first"), [(nn.Linear(3, 5, device="meta"), "weight"), (Split(), "first.weight")])
def test_weights_without_values_are_refused_by_name(module: nn.Module, first: str, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=rf"expected weights with values, got 2 of .*'{first}'"):
        to_onnx(module, tmp_path / "m.onnx", SAMPLES)


@contextlib.contextmanager
def kept_precisions() -> Iterator[Any]:
    backends: Any = torch.backends
    before = backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    multiplied = backends.cuda.matmul.fp32_precision
    try:
        yield backends
    finally:
        backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])
        backends.cuda.matmul.fp32_precision = multiplied


def test_float32_is_computed_in_full_and_the_callers_choice_comes_back() -> None:
    with kept_precisions() as backends:
        backends.cudnn.allow_tf32 = True
        torch.set_float32_matmul_precision("medium")
        with _torch_tensors.computing():
            assert (backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()) == (False, "highest")
            assert not torch.is_grad_enabled()
        assert (backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()) == (True, "medium")


def test_precisions_that_the_caller_set_apart_come_back() -> None:
    with kept_precisions() as backends:
        backends.cuda.matmul.fp32_precision = "tf32"  # the older setting cannot be asked for after this
        with _torch_tensors.computing():
            assert backends.cuda.matmul.fp32_precision == backends.cudnn.conv.fp32_precision == "ieee"
        assert backends.cuda.matmul.fp32_precision == backends.cudnn.conv.fp32_precision == "tf32"
        backends.cuda.matmul.fp32_precision = "none"


class Biased(nn.Module):
    """Attention with a bias looked up by distance, as T5's and BEiT's."""

    def __init__(self) -> None:
        super().__init__()
        self.stacked, self.last = nn.Linear(6, 18), nn.Linear(6, 5)
        self.bias = nn.Parameter(torch.randn(13, 2))
        self.register_buffer("distances", torch.arange(7)[:, None] - torch.arange(7) + 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.stacked(x).reshape(-1, 7, 3, 2, 3).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.bias[self.get_buffer("distances")].permute(2, 0, 1).unsqueeze(0)
        made = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        result: torch.Tensor = self.last(made.transpose(1, 2).reshape(-1, 7, 6))
        return result


def test_attention_with_a_learned_bias_is_converted(tmp_path: Path) -> None:
    X = np.random.default_rng(0).standard_normal((4, 7, 6)).astype(np.float32)
    difference = to_onnx(Biased().eval(), tmp_path / "m.onnx", X).max_difference
    assert difference is not None
    assert difference < 1e-5


def test_a_program_exported_with_a_learned_bias_is_converted(tmp_path: Path) -> None:
    program = torch.export.export(Biased().eval(), (torch.randn(4, 7, 6),))
    difference = to_onnx(program, tmp_path / "m.onnx", None).max_difference
    assert difference is not None
    assert difference < 1e-5
