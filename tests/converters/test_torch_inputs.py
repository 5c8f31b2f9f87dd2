"""What X may look like for a PyTorch module: samples along another axis, all arrays in one argument."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import wua_onnx as wua
from wua_onnx.converters import to_onnx
from wua_onnx.errors import ConversionError, DataError

from .shared import samples

Shape = list[int | str]


def shapes(path: Path) -> dict[str, Shape]:
    return {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in onnx.load(path).graph.input
    }


class StepsFirst(nn.Module):
    """Attention with samples along axis 1, PyTorch's default; its mask has them first."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.last = nn.MultiheadAttention(6, 2), nn.Linear(6, 5)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        result: torch.Tensor = self.last(self.attention(x, x, x, key_padding_mask=mask)[0])
        return result


def test_samples_along_axis_1_are_called_the_batch(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    to_onnx(StepsFirst(), path, samples(11, 7, 6), batch_axis=1)
    assert shapes(path) == {"x": ["sequence", "batch", 6]}


def test_a_mask_beside_them_keeps_its_samples_first(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    to_onnx(StepsFirst(), path, (samples(11, 7, 6), samples(7, 11) > 1), batch_axis=1)
    assert shapes(path) == {"x": ["sequence", "batch", 6], "mask": ["batch", "sequence"]}


def test_a_batch_along_axis_1_that_is_fixed_says_so(tmp_path: Path) -> None:
    class Fixed(StepsFirst):
        def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
            return super().forward(x, mask).reshape(-1, 7, 5)

    path = tmp_path / "m.onnx"
    converted = to_onnx(Fixed(), path, samples(11, 7, 6), batch_axis=1)
    assert shapes(path)["x"][1] == 7
    assert any("fixed to 7" in warning for warning in converted.warnings)


def test_an_audit_counts_one_sample_of_axis_1() -> None:
    audit = wua.analyze(StepsFirst(), samples(11, 7, 6), batch_axis=1)
    steps, width = 11, 6
    # Projections of 6 to 18, to 6 and to 5, and two products of all steps with all.
    assert audit.cost.macs == steps * width * (18 + 6 + 5) + 2 * steps * steps * width
    assert audit.to_dict()["recording"]["samples"] == 7


@pytest.mark.parametrize("axis", [-1, 3])
def test_an_axis_that_no_input_has_is_refused(axis: int, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=f"batch_axis: expected an axis of an input, 0 to 2, got {axis}"):
        to_onnx(StepsFirst(), tmp_path / "m.onnx", samples(11, 7, 6), batch_axis=axis)


class OneArgument(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.dense, self.last = nn.Embedding(11, 6), nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        result: torch.Tensor = self.last(self.table(batch["ids"]).mean(1) + self.dense(batch["linear"]))
        return result


def test_all_arrays_in_one_argument_keep_their_names() -> None:
    # The exporter calls an operator `linear`, too.
    X = {"ids": np.arange(28).reshape(4, 7) % 11, "linear": samples(4, 5), "labels": np.arange(4)}
    audit = wua.analyze(OneArgument(), X)
    inputs = {value["name"]: value["shape"] for value in audit.to_dict()["model"]["inputs"]}
    assert inputs == {"ids": ["batch", "sequence"], "linear": ["batch", 5]}
    assert list(audit.layers) == ["table", "dense", "last"]
    assert audit.to_dict()["recording"]["samples"] == 4


def test_one_array_in_a_mapping_is_given_as_such_where_forward_says_so(tmp_path: Path) -> None:
    class OneArray(OneArgument):
        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            result: torch.Tensor = self.dense(batch["x"])
            return result

    path = tmp_path / "m.onnx"
    to_onnx(OneArray(), path, {"x": samples(4, 5)})
    assert shapes(path) == {"x": ["batch", 5]}


class OtherwiseForMany(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.dense(x if x.shape[0] < 64 else 2 * x)
        return result


def test_a_batch_that_is_free_up_to_a_size_stays_free(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    converted = to_onnx(OtherwiseForMany(), path, samples(4, 5))
    assert shapes(path) == {"x": ["batch", 5]}
    assert [warning.partition(": ")[2] for warning in converted.warnings] == [
        "forward takes another way for more than 63 samples at once; not looked at"
    ]


class Table:
    """What of pandas's DataFrame matters here: it is no sequence of its rows."""

    iloc = None

    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        self.values, self.shape = values, values.shape

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        return np.array(self.values, dtype)

    def __getitem__(self, name: str) -> None:
        raise KeyError(name)


def test_a_table_of_pandas_is_data() -> None:
    X = np.random.default_rng(0).standard_normal((7, 5))
    module = torch.nn.Sequential(torch.nn.Linear(5, 3))
    found = wua.analyze(module, Table(X)).layers["0"].mean_activation
    np.testing.assert_array_equal(found, wua.analyze(module, X).layers["0"].mean_activation)


def test_sparse_tensors_are_refused() -> None:
    module = torch.nn.Linear(5, 3)
    for X in (torch.eye(5).to_sparse(), {"input": torch.eye(5).to_sparse()}):
        with pytest.raises(DataError, match=r"expected dense tensors, got one with the layout torch\.sparse_coo"):
            wua.analyze(module, X)
