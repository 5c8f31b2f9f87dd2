"""The curve of live activations."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from wua_onnx.cost import CostReport, count
from wua_onnx.cost.lifetimes import Lifetime
from wua_onnx.cost.live import live_bytes
from wua_onnx.model import load

from .test_lifetimes import Program, as_model, programs, run_with_buffers
from .weightless import counted, node, value


@settings(deadline=None, max_examples=60)
@given(program=programs())
def test_the_highest_point_is_the_peak_of_a_run(program: Program) -> None:
    live = count(load(as_model(program))).live_bytes
    assert live is not None
    assert max(live.bytes) == run_with_buffers(program)[1]
    assert 3 <= live.moments == len(live.bytes) <= len(program.steps) + 2  # the start, its nodes, the end


def test_what_is_made_at_the_peak_has_a_name() -> None:
    nodes = [
        node("Relu", ["x"], ["wide"]),
        node("Concat", ["wide", "wide"], ["widest"], axis=0),
        node("ReduceMax", ["widest"], ["y"], keepdims=0),
    ]
    free = counted(nodes, [value("x", ["n", "m"])], [value("y")])
    assert free.live_bytes is None
    assert free.to_dict()["live_bytes"] is None
    live = free.at(n=3, m=7).live_bytes
    assert live is not None
    assert (live.made, live.at, live.bytes) == (("widest",), (0, 1, 2, 3, 4), (84, 168, 252, 172, 4))
    assert live.alive == (("widest", 168), ("wide", 84))


def test_a_batch_that_is_the_only_free_dimension_counts_as_one() -> None:
    report = counted([node("Relu", ["x"], ["y"])], [value("x", ["n", 7])], [value("y", ["n", 7])])
    live = report.live_bytes
    assert live is not None
    assert (live.dims, live.bytes) == ({"n": 1}, (28, 56, 28))
    assert report.at(n=3).live_bytes is not None


@pytest.mark.parametrize("points", [2, 7, 1_000])
def test_a_summary_keeps_the_most_of_each_stretch(points: int) -> None:
    lifetimes = [Lifetime(f"t{i}", 1 + i * 37 % 101, i, i + i % 5) for i in range(211)]
    sizes = [(life, 1 + i * 37 % 101) for i, life in enumerate(lifetimes)]
    alive = [sum(size for life, size in sizes if life.first <= now <= life.last) for now in range(215)]
    live = live_bytes(lifetimes, points=points)
    assert live is not None
    assert len(live.at) <= points
    assert [alive[moment] for moment in live.at] == list(live.bytes)
    stretch = -(-live.moments // points)
    assert list(live.bytes) == [max(alive[first : first + stretch]) for first in range(0, live.moments, stretch)]


def test_the_curve_goes_through_json() -> None:
    nodes = [node("Relu", ["x"], ["a"]), node("Neg", ["a"], ["y"])]
    report = counted(nodes, [value("x", [3, 5])], [value("y", [3, 5])])
    data = json.loads(json.dumps(report.to_dict()))
    assert CostReport.from_dict(data).live_bytes == report.live_bytes
    del data["live_bytes"]  # as an older version wrote it
    assert CostReport.from_dict(data).live_bytes is None
