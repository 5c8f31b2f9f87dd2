"""Reading what onnxruntime's profiler writes."""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest

from wua_onnx.errors import RunError
from wua_onnx.running.timeline import timeline

from .replay import MODELS, WARM_UP, recorded, replayed


def runs_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["name"] == "model_run"]


@pytest.mark.parametrize("name", [name for name in MODELS if "loop" not in name])
def test_a_kernel_takes_the_median_of_its_runs(name: str) -> None:
    events, _ = recorded(name)
    for kernel in replayed(name).kernels:
        durations = [e["dur"] for e in events if e["name"] == f"{kernel.name}_kernel_time"]
        assert len(durations) == 4, kernel.name
        assert kernel.seconds * 1e6 == pytest.approx(median(durations[WARM_UP:]))
        assert kernel.fastest * 1e6 == pytest.approx(min(durations[WARM_UP:]))


@pytest.mark.parametrize("name", MODELS)
def test_kernels_are_the_nodes_of_the_graph_that_ran_in_their_order(name: str) -> None:
    _, graph = recorded(name)
    kernels = replayed(name).kernels
    assert [kernel.op.split("::")[-1] for kernel in kernels] == [node.op_type for node in graph.node]
    assert [kernel.outputs for kernel in kernels] == [tuple(node.output) for node in graph.node]


def test_what_onnxruntime_left_unnamed_is_found_by_operator() -> None:
    found = {kernel.op: kernel for kernel in replayed("fusions").kernels}
    assert found["HardSigmoid"].name == "HardSigmoid_16"
    assert found["HardSigmoid"].outputs == ("_inlfunc_HardSwish_HS_X",)


@pytest.mark.parametrize("with_graph", [True, False])
@pytest.mark.parametrize("name", ["loop", "loop_unoptimised"])
def test_the_body_of_a_loop_is_part_of_its_time(name: str, with_graph: bool) -> None:
    events, _ = recorded(name)
    kernels = replayed(name, with_graph=with_graph).kernels
    assert [kernel.op for kernel in kernels] == ["Exp", "Loop", "Sin"]
    inside = [e for e in events if e["cat"] == "Node" and e["args"]["op_name"] in ("MatMul", "Tanh", "Identity")]
    assert len(inside) == 4 * 3 * 3  # runs, trips, nodes
    loops = [e["dur"] for e in events if e["cat"] == "Node" and e["args"]["op_name"] == "Loop"]
    assert kernels[1].seconds * 1e6 == pytest.approx(median(loops[WARM_UP:]))


@pytest.mark.parametrize("name", MODELS)
def test_warm_up_is_left_out_and_kernels_take_no_longer_than_their_runs(name: str) -> None:
    events, _ = recorded(name)
    times = replayed(name)
    assert times.runs == tuple(run["dur"] / 1e6 for run in runs_of(events)[WARM_UP:])
    assert sum(kernel.fastest for kernel in times.kernels) <= min(times.runs)


def test_a_node_of_no_length_beside_a_loop_is_not_taken_for_its_body() -> None:
    def node(name: str, op: str, start: int, length: int) -> dict[str, Any]:
        return {"cat": "Node", "name": f"{name}_kernel_time", "ts": start, "dur": length, "args": {"op_name": op}}

    events = [
        {"cat": "Session", "name": "model_run", "ts": 0, "dur": 40, "args": {}},
        node("node0_", "Exp", 10, 0),
        node("node1_0_", "Tanh", 10, 0),
        node("node1_1_", "Tanh", 30, 0),
        node("node1_", "Loop", 10, 20),
        node("node2_", "Sin", 30, 0),
    ]
    _, graph = recorded("loop")
    assert [kernel.op for kernel in timeline(events, graph).kernels] == ["Exp", "Loop", "Sin"]


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([], "at least one finished run, got none"),
        ([{"cat": "Node"}], "events of onnxruntime, got KeyError"),
        (["text"], "events of onnxruntime, got TypeError"),
        ([{"name": "model_run", "ts": None, "dur": 1}], "events of onnxruntime, got TypeError"),
    ],
)
def test_what_is_no_profile_is_an_error(events: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        timeline(events, None)
