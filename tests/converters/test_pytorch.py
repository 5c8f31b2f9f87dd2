"""PyTorch: what comes out runs, computes the same, and leaves the module as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from wua_onnx.converters import to_onnx
from wua_onnx.errors import ConversionError

from .shared import first_dims, run, samples

Tensors = dict[str, torch.Tensor]


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(7, 3), nn.Linear(5, 3)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> Tensors:
        return {"sum": self.left(a) + self.right(b), "which": self.left(a).argmax(1)}


class FixedBatch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.dense(x).reshape(7, 3)
        return result


class Refusing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(5, 3), nn.Dropout())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError("no export for this one")


def cnn() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 5, 3, bias=False),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(5 * 3 * 3, 7),
    )
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    norm.running_mean.uniform_(-1, 1)
    return model


def test_outputs_agree_at_a_batch_size_never_seen(tmp_path: Path) -> None:
    model = cnn().eval()
    converted = to_onnx(model, tmp_path / "m.onnx", samples(11, 2, 5, 5))
    assert (converted.framework, converted.warnings) == ("pytorch", ())
    assert converted.framework_version == torch.__version__
    assert converted.max_difference is not None
    assert converted.max_difference < 1e-5
    assert first_dims(converted.path) == ["batch"]
    x = samples(13, 2, 5, 5)
    np.testing.assert_allclose(run(converted.path, x)[0], model(torch.tensor(x)).detach(), atol=1e-5)


def test_layers_bear_the_names_of_modules_where_batch_norm_was_folded(tmp_path: Path) -> None:
    converted = to_onnx(cnn(), tmp_path / "m.onnx", samples(3, 2, 5, 5))
    nodes = {node.op_type: node for node in onnx.load(converted.path).graph.node}
    assert "BatchNormalization" not in nodes
    assert converted.layer_names[nodes["Conv"].input[1]] == "0"
    assert converted.layer_names[nodes["Gemm"].input[1]] == "5"


def test_modules_with_several_weights_name_each(tmp_path: Path) -> None:
    converted = to_onnx(nn.Bilinear(5, 3, 7), tmp_path / "m.onnx", (samples(4, 5), samples(4, 3)))
    assert converted.layer_names == {"weight": "weight"}  # the root owns it: there is no path before its name

    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.ParameterDict({"u": torch.ones(5, 3), "v": torch.full((3, 2), 2.0)})

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = x @ self.part["u"] @ self.part["v"]
            return result

    converted = to_onnx(Table(), tmp_path / "m.onnx", samples(4, 5))
    assert sorted(converted.layer_names.values()) == ["part.u", "part.v"]


@pytest.mark.parametrize(
    ("model", "X", "fails"),
    [(cnn(), samples(3, 2, 5, 5), False), (Refusing(), samples(3, 5), True)],
    ids=["exported", "refused"],
)
def test_every_training_flag_is_restored(tmp_path: Path, model: nn.Module, X: Any, fails: bool) -> None:
    model.train()
    list(model.modules())[2].eval()  # a frozen part inside a training model
    before = [part.training for part in model.modules()]
    if fails:
        with pytest.raises(ConversionError, match="no export for this one"):
            to_onnx(model, tmp_path / "m.onnx", X)
    else:
        to_onnx(model, tmp_path / "m.onnx", X)
    assert [part.training for part in model.modules()] == before
    assert sorted(set(before)) == [False, True]


def test_failure_leaves_nothing_and_harms_nothing(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    target.write_text("old")
    with pytest.raises(
        ConversionError, match=r"PyTorch module Refusing on float32 \[3, 5\]: expected .*, got ValueError"
    ):
        to_onnx(Refusing(), target, samples(3, 5))
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert target.read_text() == "old"


@pytest.mark.parametrize(
    "X",
    [
        (samples(4, 7), samples(4, 5)),
        {"b": samples(4, 5), "a": samples(4, 7)},
        {"a": torch.tensor(samples(4, 7)), "b": samples(4, 5).astype(np.float64)},
        [(samples(4, 7), samples(4, 5)), (samples(2, 7), samples(2, 5))],
        (samples(4, 7), samples(4, 5), np.array([0, 1, 2, 0])),
        {"a": samples(4, 7), "b": samples(4, 5), "labels": np.array([0, 1, 2, 0])},
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 7), torch.ones(4, 5)), batch_size=2),
    ],
    ids=["tuple", "mapping", "mixed", "batches", "labels", "named labels", "loader"],
)
def test_forms_of_x(tmp_path: Path, X: Any) -> None:
    model = TwoInputs()
    converted = to_onnx(model, tmp_path / "m.onnx", X)
    assert first_dims(converted.path) == ["batch", "batch"]
    a, b = samples(9, 7), samples(9, 5)
    expected = model(torch.tensor(a), torch.tensor(b))
    total, which = run(converted.path, a, b)
    np.testing.assert_allclose(total, expected["sum"].detach(), atol=1e-5)
    np.testing.assert_array_equal(which, expected["which"])


def test_one_sample_is_enough_for_a_free_batch(tmp_path: Path) -> None:
    converted = to_onnx(nn.Linear(5, 3), tmp_path / "m.onnx", samples(1, 5))
    assert first_dims(converted.path) == ["batch"]


def test_specialised_batch_stays_fixed_and_is_told(tmp_path: Path) -> None:
    converted = to_onnx(FixedBatch(), tmp_path / "m.onnx", samples(7, 5))
    assert first_dims(converted.path) == [7]
    assert len(converted.warnings) == 1
    assert "the batch size is fixed to 7" in converted.warnings[0]


def test_half_precision_inputs_follow_the_parameters(tmp_path: Path) -> None:
    converted = to_onnx(nn.Linear(5, 3).double(), tmp_path / "m.onnx", samples(4, 5))
    assert onnx.load(converted.path).graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE


def test_one_array_under_any_name_is_the_only_input(tmp_path: Path) -> None:
    np.savez(tmp_path / "X.npz", X=samples(9, 5), y=np.zeros(9))
    converted = to_onnx(nn.Linear(5, 3), tmp_path / "m.onnx", tmp_path / "X.npz")
    assert converted.max_difference is not None


@pytest.mark.parametrize(
    ("model", "X", "message"),
    [
        (nn.Linear(5, 3), None, "Linear: expected X, .*got none"),
        (nn.Linear(5, 3), samples(4, 7), r"Linear on float32 \[4, 7\]: expected .* accepts X, got RuntimeError"),
        (TwoInputs(), {"a": samples(4, 7), "c": samples(4, 5)}, r"expected inputs \(a: .*, got a, c"),
        (nn.Linear(5, 3), iter([samples(4, 5)]), "expected data that can be read again, got an iterator"),
        (nn.Linear(5, 3), [], "expected at least one batch, got none"),
    ],
    ids=["none", "shape", "name", "iterator", "empty"],
)
def test_bad_x(tmp_path: Path, model: nn.Module, X: Any, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        to_onnx(model, tmp_path / "m.onnx", X)
