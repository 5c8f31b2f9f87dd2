"""The big arrays of an audit, beside its JSON."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wua_onnx as wua
from tests.small_models import HIDDEN, INPUTS, OUTPUTS, data, mlp, mlp_weights
from wua_onnx.cli import FAILED, FINE, USAGE, main
from wua_onnx.errors import OutputError, WuaError

DIGITS = str(Path(__file__).resolve().parent.parent / "examples" / "digits.onnx")


def written(path: Path, model: Any, *arguments: Any, **options: Any) -> Any:
    wua.analyze(model, *arguments, **options).to_npz(path)
    return np.load(path, allow_pickle=False)


def test_arrays_are_those_of_the_layers(tmp_path: Path) -> None:
    X, weights = data(), mlp_weights()
    found = written(tmp_path / "a.npz", mlp(), X, criterion=["activation", "magnitude"], statistics=["range"])
    assert json.loads(found["names"].tobytes()) == ["hidden", "last"]
    hidden = np.maximum(X @ weights["hidden.weight"] + weights["hidden.bias"], 0.0)
    np.testing.assert_allclose(found["0.mean"], np.abs(hidden).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found["0.largest"], hidden.max(axis=0), rtol=1e-5)
    magnitude = np.abs(weights["hidden.weight"])
    np.testing.assert_allclose(found["0.scores.magnitude"], magnitude, rtol=1e-6)
    scores = magnitude * np.abs(hidden).mean(axis=0)
    np.testing.assert_allclose(found["0.scores.activation"], scores, rtol=1e-5)
    np.testing.assert_allclose(found["0.importance"], scores.sum(axis=0), rtol=1e-5)
    assert found["1.scores.activation"].shape == (HIDDEN, OUTPUTS)
    assert found["0.scores.activation"].shape == (INPUTS, HIDDEN)


def test_without_data_there_is_nothing_of_neurons(tmp_path: Path) -> None:
    found = written(tmp_path / "a.npz", mlp())
    assert [name for name in found.files if name.startswith("0.")] == ["0.scores.magnitude", "0.importance"]


def test_names_of_a_model_are_no_names_of_members(tmp_path: Path) -> None:
    proto = mlp()
    for initializer in proto.graph.initializer:
        initializer.name = f"../../{initializer.name}"
    for node in proto.graph.node:
        node.input[1:] = [f"../../{name}" for name in node.input[1:]]
    wua.analyze(proto).to_npz(tmp_path / "a.npz")
    assert all(".." not in name and "/" not in name for name in zipfile.ZipFile(tmp_path / "a.npz").namelist())


def test_an_audit_from_json_has_none_and_writes_nothing(tmp_path: Path) -> None:
    wua.analyze(mlp()).to_json(tmp_path / "a.json")
    with pytest.raises(WuaError, match="run analyze"):
        wua.Audit.from_json(tmp_path / "a.json").to_npz(tmp_path / "a.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent" / "a.npz"):
        with pytest.raises(OutputError):
            wua.analyze(mlp()).to_npz(path)
    assert list(tmp_path.iterdir()) == []


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "a.npz"
    assert main(["analyze", DIGITS, "--arrays", str(target), "--static"]) == FINE
    out, err = capsys.readouterr()
    assert "Cost by operator" in out
    assert f"wrote {target}" in err
    assert np.load(target)["2.scores.magnitude"].shape == (512, 96)


@pytest.mark.parametrize(("path", "code"), [("-", USAGE), (".", FAILED), ("absent/a.npz", FAILED)])
def test_what_is_no_path_leaves_nothing(
    path: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        found = main(["analyze", DIGITS, "--json", "a.json", "--arrays", path])
    except SystemExit as stop:
        found = int(stop.code or 0)
    assert found == code
    assert "expected a" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
