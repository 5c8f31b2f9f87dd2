"""The peak where graphs lie inside nodes: what lives outside goes on living, and what is inside comes on top."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import example, given, settings
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.cost import count
from wua_onnx.model import load

from .nested import Program, Step, as_model, most_held, programs
from .weightless import X, counted, node, value

BRANCHES = tuple((Step("Concat", ("x", "x"), (n,)), Step("ReduceMax", (n,), (f"y_{i}",))) for i, n in enumerate("ab"))


@settings(deadline=None, max_examples=120)
@given(program=programs())
@example(program=Program({"x": 3, "z": 1}, (Step("If", (), ("y",), BRANCHES, "flag0"),), ("flag0",)))
def test_the_peak_is_that_of_the_dearest_run(program: Program) -> None:
    report = count(load(as_model(program)))
    assert report.unsized == ()
    assert report.peak_activation_bytes == most_held(program)
    assert sum(size for _, size in report.alive_at_peak) == report.peak_activation_bytes


def branch(*nodes: onnx.NodeProto, returns: str) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "branch", [], [value(returns)])


CHOOSE = [X, value("flag", [], TensorProto.BOOL)]


def test_only_one_branch_is_alive_at_a_time() -> None:
    """Each branch takes 120 bytes beside its own result of 60; together with x and the flag that is 241."""
    then = branch(node("Concat", ["x", "x"], ["a"], axis=0), node("Slice", ["a", "0", "3"], ["t"]), returns="t")
    other = branch(node("Concat", ["x", "x"], ["b"], axis=1), node("Slice", ["b", "0", "5", "1"], ["o"]), returns="o")
    bounds = [numpy_helper.from_array(np.array([n], np.int64), str(n)) for n in (0, 1, 3, 5)]
    choose = node("If", ["flag"], ["y"], then_branch=then, else_branch=other)
    report = counted([choose], CHOOSE, [value("y", [3, 5])], bounds)
    assert report.peak_activation_bytes == 60 + 1 + 120 + 60
    assert report.activation_bytes == 60 + 1 + 120 + 120 + 60  # what the branches return is the output


def test_branches_that_return_views_take_nothing() -> None:
    column, flat = (numpy_helper.from_array(np.array(s, np.int64), n) for n, s in (("c", [-1, 1]), ("f", [15, 1])))
    then, other = (
        branch(node("Reshape", ["x", "c"], ["t"]), returns="t"),
        branch(node("Reshape", ["x", "f"], ["o"]), returns="o"),
    )
    choose = node("If", ["flag"], ["y"], then_branch=then, else_branch=other)
    report = counted([choose], CHOOSE, [value("y", [15, 1])], [column, flat])
    assert report.peak_activation_bytes == report.activation_bytes == 60 + 1


def test_a_peak_inside_a_loop_is_symbolic_too() -> None:
    """At the end of a pass: the start, the whole stack of 11, the state and its copy, the new state; and the flags."""
    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Relu", ["state"], ["next"]), node("Neg", ["state"], ["row"])],
        "body",
        [value("i", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value("state", ["n", 5])],
        [value("on", [], TensorProto.BOOL), value("next", ["n", 5]), value("row", ["n", 5])],
    )
    trips = numpy_helper.from_array(np.array(11, np.int64), "trips")
    loop = node("Loop", ["trips", "", "start"], ["y", "rows"], body=body)
    report = counted([loop], [value("start", ["n", 5])], [value("y", ["n", 5]), value("rows", [11, "n", 5])], [trips])
    assert report.at(n=7).peak_activation_bytes == 7 * 5 * 4 * (1 + 11 + 1 + 1 + 1) + 1
    assert str(report.peak_activation_bytes) == "300*n + 1"
