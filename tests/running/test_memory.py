"""A worker that takes too much memory ends in an error, and the machine lives."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import wua_onnx as wua
from wua_onnx.cli import main
from wua_onnx.errors import DataError, RunError
from wua_onnx.model import load
from wua_onnx.observe import observe
from wua_onnx.running import memory
from wua_onnx.running.isolated import Child, IsolatedSession

GREEDY = """<ir_version: 8, opset_import: ["" : 18]>
g (int64[1] n) => (float[m] y) { z = ConstantOfShape(n)  y = Relu(z) }"""
MOST = 1 << 30
FAR_TOO_MUCH: Mapping[str, Any] = {"n": np.array([1 << 46])}  # 256 TiB of float32

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit that a process sets itself")


def greedy() -> onnx.ModelProto:
    return onnx.parser.parse_model(GREEDY)


def test_a_run_within_the_limit_goes_on_after_one_above_it() -> None:
    session = IsolatedSession(greedy().SerializeToString(), None, child=Child(memory=MOST))
    assert session.run({"n": np.array([11])})["y"].shape == (11,)
    with pytest.raises(RunError, match=r"expected at most 1\.0 GiB of memory to be needed, got more: .*buffer of size"):
        session.run({"n": np.array([1 << 29])})  # 2 GiB of float32
    assert session.run({"n": np.array([7])})["y"].shape == (7,)


def test_an_observed_run_has_a_limit() -> None:
    with pytest.raises(RunError, match=r"expected at most 1\.0 GiB of memory"):
        observe(load(greedy()), {"n": np.array([1 << 29])}, memory=MOST)


def test_the_machine_itself_is_the_default_limit() -> None:
    """What no machine has is refused without being asked for."""
    report = wua.cost(greedy(), FAR_TOO_MUCH, observe=True)
    assert report.observed is not None
    assert "of memory to be needed, got more" in str(report.observed.error)


def test_the_environment_sets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    onnx.save(greedy(), tmp_path / "m.onnx")
    np.savez(tmp_path / "x.npz", n=np.array([1 << 29]))
    monkeypatch.setenv(memory.VARIABLE, str(MOST))
    assert main(["cost", str(tmp_path / "m.onnx"), "--data", str(tmp_path / "x.npz"), "--observe"]) == 4
    assert "expected at most 1.0 GiB of memory" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("given", ["", "0", "-1", "8GB", "1e9"])
def test_a_limit_that_is_no_number_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.VARIABLE, given)
    with pytest.raises(DataError, match="WUA_ONNX_MEMORY_LIMIT: expected a number of bytes above 0, got"):
        Child()


def test_the_smaller_of_machine_and_control_group_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "memory.max"
    monkeypatch.delenv(memory.VARIABLE, raising=False)
    monkeypatch.setattr(memory, "_GROUPS", (str(group), str(tmp_path / "absent")))
    monkeypatch.setattr(memory, "_of_the_machine", lambda: 1000)
    found = []
    for written in ("500\n", "max\n", "2000\n"):
        group.write_text(written)
        found.append(memory.memory_limit())
    assert found == [450, 900, 900]
    group.unlink()
    monkeypatch.setattr(memory, "_of_the_machine", lambda: None)
    assert memory.memory_limit() is None


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Failed to allocate memory for requested buffer of size 5", True),
        ("std::bad_alloc", True),
        ("bad allocation", True),
        ("Unable to allocate 8.00 GiB for an array", True),
        ("indices element out of data bounds, idx=7", False),
        ("the memory pattern is off", False),
    ],
)
def test_messages_of_failed_allocations(message: str, expected: bool) -> None:
    assert memory.is_failure(message) is expected
