"""What stops an observed run, and what it then costs; where the figures say what they rest on."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from rich.console import Console

import wua_onnx as wua
from wua_onnx.cli import main
from wua_onnx.cost import CostReport, count
from wua_onnx.cost.nodes import Observed
from wua_onnx.errors import DataError, RunError, ShapeError
from wua_onnx.model import load
from wua_onnx.observe import Observations
from wua_onnx.recording import Recorder
from wua_onnx.report.cost_terminal import print_cost
from wua_onnx.running import Session
from wua_onnx.running.executions import counted

X = np.ones((2, 5), dtype=np.float32)
ENDLESS = """
g (float[batch,5] x) => (float[batch,5] y) {
  y = Loop("", "", x) <body = b (int64 i, bool c, float[batch,5] v) => (bool on, float[batch,5] w) {
    on = Constant<value = bool {1}>()
    w = Add(v, x)
  }>
}"""
BRANCHES = """
g (float[batch,5] x, bool c) => (float[batch,5] y) {
  y = If(c) <then_branch = a () => (float[?,5] p) { p = Relu(x) },
             else_branch = b () => (float[?,5] q) { h = Sigmoid(x)  q = Add(h, x) }>
}"""


def model(graph: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]>\n{graph}')


def printed(report: CostReport) -> str:
    text = io.StringIO()
    print_cost(report.to_dict(), Console(file=text, width=400))
    return text.getvalue()


def test_a_loop_that_never_ends_is_stopped_and_its_trips_stay_a_symbol() -> None:
    report = wua.cost(model(ENDLESS), X, observe=True, time_limit=1.0)
    assert report.observed is not None
    assert report.observed.samples == 0
    assert report.observed.error == "onnxruntime: expected an answer within 1 s, got none"
    assert [str(report.flops), report.symbols] == ["5*trips(y)", ("trips(y)",)]
    assert "nothing was observed: onnxruntime: expected an answer within 1 s" in printed(report)


def test_a_run_in_this_process_has_a_limit_too() -> None:
    session = Session(model(ENDLESS).SerializeToString(), None, limit=0.2)
    with pytest.raises(RunError, match=r"expected a run to end within 0\.2 s"):
        session.run({"x": X})


@pytest.mark.parametrize("isolate", [False, True])
def test_the_limit_of_a_recording_is_ten_minutes(isolate: bool) -> None:
    recorder = Recorder(model("g (float[batch,5] x) => (float[batch,5] y) { y = Relu(x) }"), isolate=isolate)
    session = recorder._runner.start()
    limit = session.limit if isinstance(session, Session) else session._child.limit
    assert limit == 600


def event(name: str, op: str, inputs: list[Any], outputs: list[Any]) -> Mapping[str, Any]:
    arguments = {"op_name": op, "input_type_shape": inputs, "output_type_shape": outputs}
    return {"cat": "Node", "name": f"{name}_kernel_time", "args": arguments}


RUN = {"cat": "Session", "name": "model_run", "args": {}}


def test_events_are_counted_by_node_and_shapes() -> None:
    a, b = {"float": [2, 3]}, {"float": [4, 3]}
    events = [event("n", "Relu", [a], [a]), event("n", "Relu", [b], [b]), event("n", "Relu", [a], [a]), RUN]
    assert counted(events) == {
        ("n", "Relu", ((2, 3),), ((2, 3),)): 2,
        ("n", "Relu", ((4, 3),), ((4, 3),)): 1,
    }


def test_a_profile_that_is_cut_short_is_refused() -> None:
    with pytest.raises(RunError, match="expected at most 1,000,000 executions"):
        counted([event("n", "Relu", [], [])])


def test_observing_needs_data() -> None:
    with pytest.raises(DataError, match="observe: expected data to run the model on, got none: give X"):
        wua.cost(model(ENDLESS), observe=True)


def test_dimensions_given_must_be_those_of_the_data() -> None:
    with pytest.raises(ShapeError, match=r"input 'x' axis 0: expected 3 as given elsewhere, got 1"):
        wua.cost(model(ENDLESS), X, dims={"batch": 3}, observe=True)


def test_observations_of_another_model_are_refused() -> None:
    with pytest.raises(DataError, match="observations: expected those of 4 nodes, got 1"):
        count(load(model(BRANCHES)), observations=Observations(samples=1, graphs={}, nodes=({},)))


def test_a_model_that_cannot_run_is_still_counted() -> None:
    broken = model("g (float[batch,5] x) => (float[batch,5] y) { h = Relu(x)  y = com.acme.Nothing(h) }")
    broken.opset_import.append(onnx.helper.make_opsetid("com.acme", 1))
    report = wua.cost(broken, X, observe=True)
    assert report.observed is not None
    assert "onnxruntime cannot load the model" in str(report.observed.error)
    assert (report.flops, report.bound) == (5, "lower")


def test_a_value_that_nothing_defines_is_an_error_of_the_run() -> None:
    graph = ENDLESS.replace("Add(v, x)", "Add(v, nowhere)")
    report = wua.cost(model(graph), X, observe=True)
    assert report.observed is not None
    assert "nowhere" in str(report.observed.error)


def test_names_that_are_no_utf8_do_no_harm(tmp_path: Path) -> None:
    data = model("g (float[batch,5] x) => (float[batch,5] y) { [name] hidden = Relu(x)  y = Relu(hidden) }")
    written = data.SerializeToString()
    for name in (b"name", b"hidden"):  # of a node, of a value
        (tmp_path / "model.onnx").write_bytes(written.replace(name, name[:-1] + b"\xff"))
        report = wua.cost(tmp_path / "model.onnx", X, observe=True)
        assert (report.observed, report.flops) == (Observed(samples=1), 10)


def test_a_report_says_what_it_rests_on_and_keeps_it_in_json(tmp_path: Path) -> None:
    report = wua.cost(model(BRANCHES), {"x": X, "c": np.array(True)}, observe=True)
    assert "exact: every operator is counted by rule; trips, branches and shapes as observed on 1 sample" in printed(
        report
    )
    again = CostReport.from_dict(json.loads(json.dumps(report.to_dict())))
    assert again.observed == report.observed
    assert again.to_dict() == report.to_dict()
    assert wua.cost(model(BRANCHES)).to_dict()["observed"] is None


def files(folder: Path, graph: str, **feeds: Any) -> list[str]:
    onnx.save(model(graph), folder / "model.onnx")
    np.savez(folder / "data.npz", **feeds)
    return [str(folder / "model.onnx"), "--data", str(folder / "data.npz"), "--observe"]


def test_the_command_observes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = files(tmp_path, BRANCHES, x=X, c=np.array(False))
    assert main(["cost", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["observed"] == {"samples": 1, "error": None}
    assert (found["flops"], found["bound"]) == (4 * 5 + 5, "exact")


def test_the_command_fails_where_nothing_was_observed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = files(tmp_path, ENDLESS, x=X)
    assert main(["cost", *arguments, "--time-limit", "1"]) == 4
    assert "trips(y)" in capsys.readouterr().out
