"""Whether a Loop stops before its limit: what the graph tells against what a run does."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from wua_onnx.cost import CostReport, count
from wua_onnx.model import load

F, B, INT = TensorProto.FLOAT, TensorProto.BOOL, TensorProto.INT64
COMPARISONS = ("Less", "LessOrEqual", "Greater", "GreaterOrEqual")
SIZE = 5  # of what the body works on: 5 additions a trip

node, value = helper.make_node, helper.make_tensor_value_info


def counting_loop(
    most: int | None,
    comparison: str,
    *,
    first: int = 0,
    step: int = 1,
    bound: float = 0,
    compared: str = "new",
    as_float: bool = False,
    swapped: bool = False,
    limit: bool = True,
    asked_first: bool = False,
) -> onnx.ModelProto:
    """A Loop that goes on while a counter compares with `bound`, as exporters of while loops write it.

    Args:
        most: its limit; None for the length of the input `xs`.
        comparison: the operator; `swapped` puts the bound first.
        first: the counter before the first trip; it goes up by `step`.
        bound: what it is compared with; where `most` is None, on top of the length of `xs`.
        compared: "new" for the counter after the trip, "old" for the one before it, "trip" for the trip's number.
        as_float: whether float32 numbers are compared.
        limit: whether the Loop has `most` as its limit.
        asked_first: whether the counter is compared before the first trip too.
    """
    dtype = F if as_float else INT
    arrays = {"first": np.array(first), "step": np.array(step), "zero": np.array([0]), "at_once": np.array(True)}
    nodes = []
    if most is None:
        nodes = [node("Shape", ["xs"], ["shape"]), node("Gather", ["shape", "zero"], ["picked"])]
        nodes += [node("Squeeze", ["picked", "zero"], ["most"])]
        arrays["extra"] = np.array(int(bound))
        nodes += [node("Add", ["most", "extra"], ["sum"]), node("Cast", ["sum"], ["bound"], to=dtype)]
    else:
        arrays |= {"most": np.array(most), "bound": np.array(bound, np.float32 if as_float else np.int64)}
    sides = ["bound", "checked"] if swapped else ["checked", "bound"]
    steps = [
        node("Add", ["old", "step"], ["new"]),
        node("Cast", [compared], ["checked"], to=dtype),
        node(comparison, sides, ["less"]),
        node("And", ["less", "going"], ["goes_on"]),
        node("Add", ["h", "h"], ["h_out"]),
    ]
    body = helper.make_graph(
        steps,
        "body",
        [value("trip", INT, []), value("going", B, []), value("old", INT, []), value("h", F, [SIZE])],
        [value("goes_on", B, []), value("new", INT, []), value("h_out", F, [SIZE])],
    )
    if asked_first:
        outer = {"checked": "first_checked"}
        nodes.append(node("Cast", ["first"], ["first_checked"], to=dtype))
        nodes.append(node(comparison, [outer.get(side, side) for side in sides], ["start"]))
    start = "start" if asked_first else "at_once"
    nodes.append(node("Loop", ["most" if limit else "", start, "first", "h0"], ["last", "y"], body=body, name="loop"))
    inputs = [value("h0", F, [SIZE]), *([value("xs", F, ["t"])] if most is None else [])]
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "counting", inputs, [value("last", INT, []), value("y", F, [SIZE])], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def trips_run(model: onnx.ModelProto, length: int | None = None) -> int:
    """Return how often the body runs: y is h0 doubled on every trip."""
    feeds = {"h0": np.ones(SIZE, np.float32)} | ({} if length is None else {"xs": np.ones(length, np.float32)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the evaluator
        _, y = ReferenceEvaluator(model).run(None, feeds)
    return int(np.log2(y[0]))


def additions(report: CostReport) -> Any:
    """Return the additions of h alone; the counter is an integer and goes elsewhere."""
    return report.by_node[-1].cost.add


@settings(deadline=None, max_examples=150)
@given(
    most=st.integers(0, 7),
    comparison=st.sampled_from(COMPARISONS),
    first=st.integers(-2, 3),
    step=st.sampled_from([1, 1, 1, 0, 2, -1]),
    bound=st.integers(-3, 9),
    compared=st.sampled_from(["new", "old", "trip"]),
    as_float=st.booleans(),
    swapped=st.booleans(),
)
def test_what_is_called_exact_is_what_runs(most: int, comparison: str, **rest: Any) -> None:
    model = counting_loop(most, comparison, **rest)
    report, run = count(load(model)), trips_run(model)
    assert additions(report) == SIZE * most
    if report.bound == "exact":
        assert run == most
    elif rest["step"] == 1 and (comparison in COMPARISONS[2:]) == rest["swapped"]:
        assert run < most  # of counters that go up to a bound, nothing is missed


@pytest.mark.parametrize("as_float", [False, True])
@pytest.mark.parametrize(("comparison", "extra"), [("Less", 0), ("LessOrEqual", -1), ("Less", 2)])
def test_a_counter_that_goes_up_to_the_length_of_an_input(comparison: str, extra: int, as_float: bool) -> None:
    model = counting_loop(None, comparison, bound=extra, as_float=as_float)
    report = count(load(model))
    assert (str(additions(report)), report.bound) == ("5*t", "exact")
    for length in (1, 2, 7):
        assert trips_run(model, length) == length


def test_one_that_stops_short_of_it_is_an_upper_bound() -> None:
    model = counting_loop(None, "Less", bound=-1)
    report = count(load(model))
    assert (str(additions(report)), report.bound) == ("5*t", "upper")
    assert trips_run(model, 7) == 6


@settings(deadline=None, max_examples=100)
@given(
    comparison=st.sampled_from(COMPARISONS),
    first=st.integers(-2, 3),
    bound=st.integers(-3, 9),
    compared=st.sampled_from(["new", "old", "trip"]),
    as_float=st.booleans(),
    asked_first=st.booleans(),
)
def test_loops_without_a_limit_make_the_trips_that_run(comparison: str, asked_first: bool, **rest: Any) -> None:
    swapped = comparison.startswith("Greater")
    model = counting_loop(1, comparison, limit=False, swapped=swapped, asked_first=asked_first, **rest)
    report = count(load(model))
    if report.symbols:  # before the loop another number is compared than in it
        assert asked_first
        assert rest["compared"] == "old" or (rest["compared"] == "trip" and rest["first"] != -1)
    else:
        assert additions(report) == SIZE * trips_run(model)


def test_a_loop_without_a_limit_goes_on_for_the_length_of_an_input() -> None:
    model = counting_loop(None, "Less", limit=False, asked_first=True)
    report = count(load(model))
    assert (str(additions(report)), report.bound) == ("5*t", "exact")
    assert trips_run(model, 7) == 7


@pytest.mark.parametrize("step", [0, -1, 2])
def test_counters_that_do_not_go_up_by_one_tell_no_trips(step: int) -> None:
    report = count(load(counting_loop(1, "Less", limit=False, bound=9, step=step)))
    assert report.symbols == ("trips(loop)",)


@pytest.mark.parametrize(("bound", "exact"), [(2.5, False), (1e9, True), (float("inf"), False), (float("nan"), False)])
def test_bounds_that_are_no_integers_tell_nothing(bound: float, exact: bool) -> None:
    assert count(load(counting_loop(3, "Less", bound=bound, as_float=True))).is_exact == exact


def test_integers_that_a_float_cannot_hold_tell_nothing() -> None:
    """2**24 + 1 is 2**24 as a float: the comparison is false at once, though its integers say otherwise."""
    arguments: dict[str, Any] = {"first": 2**24, "bound": 2**24 + 1, "compared": "old", "as_float": True}
    model = counting_loop(2, "Less", **arguments)
    assert trips_run(model) == 1
    assert count(load(model)).bound == "upper"
