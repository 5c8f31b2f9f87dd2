"""Recorded profiles of onnxruntime 1.31, read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from wua_onnx.cost import NodeCost, count
from wua_onnx.model.graph import Model
from wua_onnx.model.load import load
from wua_onnx.observe.marked import marked
from wua_onnx.observe.profile import Profile
from wua_onnx.observe.timing import joined
from wua_onnx.running.peak import Peak
from wua_onnx.running.profiling import Measurement
from wua_onnx.running.timeline import Timeline, timeline

from .models import convolutions, fusions, loop

MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    f"{build.__name__}{suffix}": build for build in (convolutions, fusions, loop) for suffix in ("", "_unoptimised")
}
WARM_UP = 1
PEAK = Peak(gflops=100.0, gbps=10.0)


def recorded(name: str) -> tuple[list[dict[str, Any]], onnx.GraphProto]:
    """The events of a recorded profile and the graph that was run."""
    data = json.loads((Path(__file__).parent / "recorded" / f"{name}.json").read_text())
    assert data["onnxruntime"].startswith("1.31.")
    nodes = [helper.make_node(op, i, o, name=n, domain=domain) for n, op, domain, i, o in data["graph"]]
    return data["events"], helper.make_graph(nodes, "optimised", [], [])


def replayed(name: str, *, with_graph: bool = True) -> Timeline:
    events, graph = recorded(name)
    return timeline(events, graph if with_graph else None, skip=WARM_UP)


def model_and_count(name: str) -> tuple[Model, tuple[NodeCost, ...]]:
    model = load(MODELS[name]())
    return model, count(model).by_node


def profile(name: str, *, with_graph: bool = True) -> Profile:
    """The profile that the recorded times give."""
    model, counted = model_and_count(name)
    times = replayed(name, with_graph=with_graph)
    measurement = Measurement(
        kernels=times.kernels, latency=0.5, profiled=0.75, runs=len(times.runs), warm_up=WARM_UP, threads=2, version="1"
    )
    shapes = {"x": (5, 7)}
    run: dict[str, Any] = {"shapes": shapes, "data": "random", "batch": 5, "optimised": True}
    return joined(model, counted, marked(model), measurement, PEAK, **run)
