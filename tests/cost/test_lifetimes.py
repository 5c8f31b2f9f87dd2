"""Lifetimes: what is alive at once, against runs with real buffers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.cost import count
from wua_onnx.errors import ShapeError
from wua_onnx.model import load

from .weightless import X, counted, model, node, value, weight


@dataclass(frozen=True)
class Step:
    """One operator of a random graph: what it is, and which earlier values it reads."""

    op: str
    reads: tuple[str, ...]
    name: str


@dataclass(frozen=True)
class Program:
    """A graph over one-dimensional values."""

    inputs: dict[str, int]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    lengths = {f"x{i}": draw(st.sampled_from([2, 3, 5, 7])) for i in range(draw(st.integers(1, 3)))}
    inputs, steps = dict(lengths), []
    for index in range(draw(st.integers(1, 9))):
        op = draw(st.sampled_from(["Relu", "Add", "Concat", "Identity", "Reshape", "Split"]))
        first = draw(st.sampled_from(sorted(lengths)))
        same = sorted(name for name, length in lengths.items() if length == lengths[first])
        others = {"Add": same, "Concat": sorted(lengths)}.get(op)
        reads = (first,) if others is None else (first, draw(st.sampled_from(others)))
        lengths[f"v{index}"] = sum(lengths[name] for name in reads) if op == "Concat" else lengths[first]
        steps.append(Step(op, reads, f"v{index}"))
    names = [step.name for step in steps]
    outputs = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    return Program(inputs, tuple(steps), tuple(outputs))


def as_model(program: Program, factor: str | None = None) -> onnx.ModelProto:
    """Return `program` in ONNX; with `factor`, a free dimension, every value has that many rows."""
    rows: list[int | str] = [] if factor is None else [factor]
    last = numpy_helper.from_array(np.array([0] * len(rows) + [-1], np.int64), "same")
    nodes = []
    for step in program.steps:
        attributes: dict[str, Any] = {"Concat": {"axis": -1}, "Split": {"axis": -1, "num_outputs": 1}}.get(step.op, {})
        extra = ["same"] if step.op == "Reshape" else []
        nodes.append(node(step.op, [*step.reads, *extra], [step.name], **attributes))
    inputs = [value(name, [*rows, length]) for name, length in program.inputs.items()]
    return model(nodes, inputs, [value(name) for name in program.outputs], [last])


COMPUTE: dict[str, Callable[..., npt.NDArray[np.float32]]] = {
    "Relu": lambda x: np.maximum(x, 0),
    "Add": lambda a, b: a + b,
    "Concat": lambda a, b: np.concatenate([a, b]),
    "Identity": lambda x: x[:],
    "Reshape": lambda x: x.reshape(-1),
    "Split": lambda x: x.copy(),
}


def run_with_buffers(program: Program) -> tuple[int, int, set[int]]:
    """Run `program` on arrays; return (bytes allocated in all, most bytes held at once, sizes held then).

    Values are dropped when nothing further on reads them; a view holds the buffer that it looks into.
    """
    needed = set(program.outputs)
    for step in reversed(program.steps):
        needed |= set(step.reads) if step.name in needed else set()
    steps = [step for step in program.steps if step.name in needed]
    values = {name: np.ones(n, np.float32) for name, n in program.inputs.items() if name in needed}

    def buffers() -> dict[int, int]:
        owners = {
            id(a if a.base is None else a.base): (a if a.base is None else a.base).nbytes for a in values.values()
        }
        return owners

    ever = dict(buffers())
    most, held = sum(ever.values()), sorted(ever.values())
    kept = list(values.values())  # no address is used twice
    for index, step in enumerate(steps):
        values[step.name] = COMPUTE[step.op](*(values[name] for name in step.reads))
        kept.append(values[step.name])
        now = buffers()
        ever |= now
        if sum(now.values()) > most:
            most, held = sum(now.values()), sorted(now.values())
        later = {name for other in steps[index + 1 :] for name in other.reads} | set(program.outputs)
        values = {name: array for name, array in values.items() if name in later}
    return sum(ever.values()), most, set(held)


@settings(deadline=None, max_examples=150)
@given(program=programs())
def test_lifetimes_are_those_of_a_run(program: Program) -> None:
    report = count(load(as_model(program)))
    total, most, held = run_with_buffers(program)
    assert report.activation_bytes == total
    assert report.peak_activation_bytes == most
    assert sum(size for _, size in report.alive_at_peak) == most
    assert {size for _, size in report.alive_at_peak} == held


@settings(deadline=None, max_examples=60)
@given(program=programs(), rows=st.integers(1, 6))
def test_a_symbolic_peak_holds_for_every_size(program: Program, rows: int) -> None:
    report = count(load(as_model(program, "n")))
    total, most, _ = run_with_buffers(program)
    figures: list[Any] = [report.activation_bytes, report.peak_activation_bytes]
    values = [f if isinstance(f, int) else f.subs(dict.fromkeys(f.free_symbols, rows)) for f in figures]
    assert values == [total * rows, most * rows]
    assert report.at(n=rows).peak_activation_bytes == most * rows


def test_the_peak_over_two_dimensions_is_the_larger_of_two_moments() -> None:
    """First 3·a values and their copy are alive, then 5·b and theirs."""
    nodes = [
        node("Relu", ["x"], ["x1"]), node("ReduceSum", ["x1"], ["sx"], keepdims=0),
        node("Relu", ["z"], ["z1"]), node("Relu", ["z1"], ["z2"]), node("ReduceSum", ["z2"], ["sz"], keepdims=0),
        node("Add", ["sx", "sz"], ["y"]),
    ]  # fmt: skip
    report = counted(nodes, [value("x", ["a", 3]), value("z", ["b", 5])], [value("y")])
    for a, b in ((100, 1), (1, 100), (17, 19), (0, 7), (7, 0), (0, 0)):
        first, second = 24 * a + 20 * b, 4 + 40 * b
        start, end = 12 * a + 20 * b, 4 + 4 + 4
        after = 12 * a + 20 * b + 4
        assert report.at(a=a, b=b).peak == max(first, second, start, after, 4 + 20 * b + 4, end)


def test_what_is_alive_at_the_peak_has_names() -> None:
    nodes = [
        node("Relu", ["x"], ["wide"]),
        node("Concat", ["wide", "wide"], ["widest"], axis=0),
        node("ReduceMax", ["widest"], ["y"], keepdims=0),
    ]
    report = counted(nodes, [value("x", ["n", 7])], [value("y")])
    with pytest.raises(ShapeError, match="n"):
        _ = report.alive_at_peak
    assert report.at(n=3).alive_at_peak == (("widest", 168), ("wide", 84))
    assert report.at(n=3).peak_activation_bytes == 252


def test_constants_and_work_that_reaches_no_output_hold_no_activations() -> None:
    nodes = [node("Relu", ["w"], ["c"]), node("Add", ["x", "c"], ["y"]), node("Neg", ["x"], ["lost"])]
    report = counted(nodes, [X], [value("y")], [weight("w", 3, 5)])
    assert report.activation_bytes == report.peak_activation_bytes == 120


def test_a_value_lives_while_a_graph_inside_a_later_node_reads_it() -> None:
    body = helper.make_graph([node("Add", ["early", "x"], ["b"])], "body", [], [value("b", [3, 5])])
    nodes = [
        node("Relu", ["x"], ["early"]),
        node("Concat", ["x", "x"], ["big"], axis=0),
        node("ReduceMax", ["big"], ["small"], keepdims=0),
        node("If", ["flag"], ["y"], then_branch=body, else_branch=body),
    ]
    inputs = [X, value("flag", [], TensorProto.BOOL)]
    report = counted(nodes, inputs, [value("y", [3, 5]), value("small", [])])
    # At the ReduceMax. At the If, the result of the branch is its output, not a copy of it.
    assert dict(report.alive_at_peak) == {"big": 120, "x": 60, "early": 60, "small": 4, "flag": 1}
    assert report.activation_bytes == 60 + 1 + 60 + 120 + 4 + 60


def test_a_pass_through_the_body_of_a_loop_counts_once() -> None:
    body = helper.make_graph(
        [node("Identity", ["go"], ["again"]), node("Concat", ["state", "state"], ["twice"], axis=0),
         node("ReduceMax", ["twice", "rows"], ["next"], keepdims=1)],
        "body",
        [value("i", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value("state", [1, 5])],
        [value("again", [], TensorProto.BOOL), value("next", [1, 5])],
    )  # fmt: skip
    rows = numpy_helper.from_array(np.array([0], np.int64), "rows")
    trips = numpy_helper.from_array(np.array(11, np.int64), "trips")
    loop = node("Loop", ["trips", "", "start"], ["y"], body=body)
    report = counted([loop], [value("start", [1, 5])], [value("y", [1, 5])], [rows, trips])
    sizes = dict(report.alive_at_peak)
    assert {"state": 20, "twice": 40}.items() <= sizes.items()
    assert report.peak_activation_bytes == sum(sizes.values()) < 160
