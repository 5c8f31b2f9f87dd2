"""Profiles measured here: their structure, where the data comes from, and what goes wrong. No time is judged."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import wua_onnx as wua
from wua_onnx import cli
from wua_onnx.errors import MissingDependency, WuaError
from wua_onnx.observe import Profile
from wua_onnx.running import peak
from wua_onnx.running.profiling import measured_peak

from .models import convolutions, fusions, loop
from .replay import PEAK


@pytest.fixture(autouse=True)
def _quick_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wua_onnx.observe.timing.measured_peak", lambda isolate: PEAK)


def profile_of(model: Any, *arguments: Any, **options: Any) -> Mapping[str, Any]:
    found = wua.analyze(model, *arguments, **{"profile": True, **options}).profile
    assert found is not None
    return found


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def one_node(op: str, shape: list[Any] | None, *, dtype: int = TensorProto.FLOAT, domain: str = "") -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("x", dtype, shape)]
    outputs = [helper.make_tensor_value_info("y", dtype, shape)]
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"], name="n", domain=domain)], "g", inputs, outputs)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.acme", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


@pytest.mark.parametrize("optimised", [True, False])
@pytest.mark.parametrize("build", [convolutions, fusions, loop])
def test_measured_profiles_lose_no_node_and_no_time(build: Any, optimised: bool) -> None:
    model = build()
    data = profile_of(model, profile=True if optimised else "unoptimised")
    found = Profile.from_dict(data)
    assert found.optimised is optimised
    nodes = [node for part in found.timed for node in part.nodes] + [part.name for part in found.absent]
    assert sorted(nodes) == sorted(node.name for node in model.graph.node)
    everything = [part.seconds for part in found.timed] + [part.seconds for part in found.unattributed]
    assert data["total"] == pytest.approx(math.fsum(everything))
    for part in data["timed"]:
        if part["flops"] and part["seconds"]:
            assert part["gflops"] == pytest.approx(part["flops"] / part["seconds"] / 1e9)
    assert found.runs >= 3
    assert found.latency > 0
    assert data["shapes"] == {"x": [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]}


@pytest.mark.parametrize("isolate", [False, True])
def test_weights_stay_outside_and_nothing_stays_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolate: bool
) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(convolutions(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(scratch)
    data = profile_of(path, isolate=isolate)
    assert {part["name"] for part in data["timed"]} >= {"stem", "branch", "last", "head"}
    assert list(scratch.iterdir()) == []


def test_without_data_inputs_are_random_and_free_dimensions_one() -> None:
    model = one_node("Exp", ["batch", "seq", 7])
    assert profile_of(model)["shapes"] == {"x": [1, 1, 7]}
    data = profile_of(model, dims={"seq": 5})
    assert (data["shapes"], data["data"], data["batch"]) == ({"x": [1, 5, 7]}, "random", 1)
    (part,) = data["timed"]
    assert part["flops"] == 5 * 7


def test_data_is_run_a_sample_or_a_batch_at_a_time() -> None:
    model, X = one_node("Exp", ["batch", 7]), np.ones((11, 7), dtype=np.float32)
    data = profile_of(model, X)
    assert (data["shapes"], data["data"], data["batch"]) == ({"x": [1, 7]}, "given", 1)
    data = profile_of(model, X, batch_size=5)
    assert (data["shapes"], data["batch"], data["timed"][0]["flops"]) == ({"x": [5, 7]}, 5, 5 * 7)


@pytest.mark.parametrize("samples", [2, 11])
def test_a_fixed_batch_is_filled(samples: int) -> None:
    data = profile_of(one_node("Exp", [3, 7]), np.ones((samples, 7), dtype=np.float32))
    assert (data["shapes"], data["batch"]) == ({"x": [3, 7]}, 3)


def test_the_data_is_still_there_for_the_recording() -> None:
    X = (np.full((5, 7), i, dtype=np.float32) for i in range(3))
    audit = wua.analyze(fusions(), X, profile=True)
    assert audit.to_dict()["recording"]["samples"] == 15


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (one_node("Foo", ["batch", 7], domain="com.acme"), {}, "onnxruntime cannot load the model"),
        (one_node("Exp", None), {}, "random inputs"),
        (one_node("Identity", [7], dtype=TensorProto.STRING), {}, "random inputs"),
        (one_node("Exp", [2**20, 2**10]), {}, "expected at most 268,435,456 elements"),
        (one_node("Exp", ["batch", 7]), {"device": "cuda"}, "profile: expected device 'cpu', got 'cuda'"),
    ],
)
def test_what_cannot_be_run_is_counted_all_the_same(model: Any, options: dict[str, Any], message: str) -> None:
    audit = wua.analyze(model, profile=True, **options)
    assert audit.profile is not None
    assert message in audit.profile["error"]
    assert len(audit.cost.by_node) == 1


def test_not_asked_for_there_is_none() -> None:
    audit = wua.analyze(fusions())
    assert audit.profile is None
    assert audit.to_dict()["profile"] is None


def test_another_kind_of_profile_is_refused() -> None:
    with pytest.raises(WuaError, match="profile: expected True, False or 'unoptimised', got 'fast'"):
        wua.analyze(fusions(), profile="fast")


def test_without_onnxruntime_its_install_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependency, match=r"pip install 'wua-onnx\[cpu\]'"):
        wua.analyze(fusions(), profile=True)


def test_where_the_graph_cannot_be_written_names_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(self: Path, target: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", no_links)
    data = profile_of(fusions())
    assert "Gelu" in {part["op"] for part in data["unattributed"]}
    assert "product" in {part["name"] for part in data["timed"]}


def test_the_peak_is_of_a_product_and_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "_GEMM", 64)
    monkeypatch.setattr(peak, "_COPIED", 1 << 14)
    found = measured_peak()
    assert found.gflops > 0
    assert found.gbps > 0


class TestCommand:
    def test_cost_with_times(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["cost", str(saved(fusions(), tmp_path)), "--profile", "--unoptimised"]) == cli.FINE
        text = capsys.readouterr().out
        assert "Time by operator" in text
        assert "optimisations off" in " ".join(text.split())

    def test_json_holds_both(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["cost", str(saved(fusions(), tmp_path)), "--profile", "--json"]) == cli.FINE
        data = json.loads(capsys.readouterr().out)
        assert data["flops"] > 0
        assert Profile.from_dict(data["profile"]).timed

    def test_a_model_that_does_not_run_is_counted_and_exits_with_4(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = saved(one_node("Foo", [7], domain="com.acme"), tmp_path)
        assert cli.main(["cost", str(path), "--profile"]) == cli.FAILED
        text = capsys.readouterr().out
        assert "com.acme::Foo" in text
        assert "not measured: onnxruntime cannot load the model" in " ".join(text.split())
