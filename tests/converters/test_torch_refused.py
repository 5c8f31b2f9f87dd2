"""PyTorch modules that cannot be converted, or only in part: the cause, where it lies, and what to try."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from wua_onnx.converters import to_onnx
from wua_onnx.errors import ConversionError

from .shared import samples


class Doing(nn.Module):
    """Two layers and something between them."""

    def __init__(self, what: Any) -> None:
        super().__init__()
        self.first, self.what = nn.Linear(5, 7), _Step(what)

    def forward(self, x: torch.Tensor) -> Any:
        return self.what(self.first(x))


class _Step(nn.Module):
    def __init__(self, what: Any) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: torch.Tensor) -> Any:
        return self.what(x)


def line_of(text: str) -> int:
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


@pytest.mark.parametrize(
    ("what", "cause", "advice"),
    [
        (lambda x: torch.from_numpy(x.numpy() * 2), r"\.numpy\(\) is not supported", "keep to operators of PyTorch"),
        (lambda x: x * float(x.max().item()), "data-dependent", r"no \.item\(\)"),
        (lambda x: x if x.sum() > 0 else -x, "data-dependent", "torch.where or torch.cond"),
        (lambda x: x if sum(x * i for i in range(30)).sum() > 0 else -x, "data-dependent", "torch.where or torch.cond"),
    ],
    ids=["numpy", "item", "branch", "branch behind much"],
)
def test_the_cause_the_module_the_line_and_what_to_try(tmp_path: Path, what: Any, cause: str, advice: str) -> None:
    with pytest.raises(ConversionError, match=cause) as caught:
        to_onnx(Doing(what), tmp_path / "m.onnx", samples(4, 5))
    told = str(caught.value)
    assert "in module 'what' (_Step)" in told
    assert f"line {line_of('return self.what(x)')} of {__file__}" in told
    assert "To try:" in told
    assert advice.replace("\\", "") in told
    assert "def forward" not in told  # the graph so far
    assert "torch.ops" not in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("made", [[1, 2], None, "text"], ids=["numbers", "none", "text"])
def test_a_module_without_tensors_among_its_outputs(tmp_path: Path, made: Any) -> None:
    with pytest.raises(ConversionError, match=rf"expected a module that returns tensors.* got {type(made).__name__}"):
        to_onnx(Doing(lambda _: made), tmp_path / "m.onnx", samples(4, 5))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.array([["a"] * 5] * 4), "X: expected arrays of numbers, got can't convert np.ndarray of type numpy.str_"),
        (np.ones((4, 5), np.int64), "got RuntimeError: mat1 and mat2 must have the same dtype"),
        ((samples(4, 5), samples(4, 5), samples(4, 5)), "expected inputs .*, got 3 arrays: too many positional"),
    ],
    ids=["text", "integers", "three arrays"],
)
def test_x_that_does_not_fit(tmp_path: Path, X: Any, message: str) -> None:
    with pytest.raises(ConversionError, match=message) as caught:
        to_onnx(Doing(torch.relu), tmp_path / "m.onnx", X)
    assert "_torch_errors.py" not in str(caught.value)  # no line of this project's own


def test_random_numbers_are_found_out(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="The first layer that differs is 'what'") as caught:
        to_onnx(Doing(lambda x: x + torch.randn_like(x)), tmp_path / "m.onnx", samples(4, 5))
    assert "Two runs of the model itself on the same samples differ by" in str(caught.value)
    assert "it draws random numbers" in str(caught.value)


@pytest.mark.parametrize("size", [1, 9, 100])
def test_a_batch_of_one_size_only(tmp_path: Path, size: int) -> None:
    converted = to_onnx(Doing(lambda x: x.reshape(size, 7)), tmp_path / "m.onnx", samples(max(size, 9), 5))
    assert f"the batch size is fixed to {size}; a free one failed" in converted.warnings[0]


def test_a_module_that_writes_into_its_input(tmp_path: Path) -> None:
    x = samples(4, 5)
    before = x.copy()
    converted = to_onnx(Shifting(), tmp_path / "m.onnx", x)
    assert converted.max_difference is not None
    np.testing.assert_array_equal(x, before)


class Shifting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.dense(x.add_(1))
        return result


def test_a_module_in_two_places_bears_its_first_name(tmp_path: Path) -> None:
    shared = nn.Linear(5, 5)
    converted = to_onnx(nn.Sequential(shared, nn.ReLU(), shared), tmp_path / "m.onnx", samples(4, 5))
    assert set(converted.layer_names.values()) == {"0"}


def test_a_parametrised_weight_bears_the_name_of_its_module(tmp_path: Path) -> None:
    module = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 3)))
    assert set(to_onnx(module, tmp_path / "m.onnx", samples(4, 5)).layer_names.values()) == {"0"}


def test_an_operator_without_an_equivalent_is_told_with_its_module_and_line(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"No ONNX function found for .*linalg_svd") as caught:
        to_onnx(Doing(lambda x: torch.linalg.svd(x)[0]), tmp_path / "m.onnx", samples(4, 5))
    told = str(caught.value)
    assert "in module 'what' (_Step), line" in told
    assert f"of {__file__}" in told
