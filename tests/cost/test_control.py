"""If, Loop and Scan: branches, trips, and what their graphs capture."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from wua_onnx.cost import CostReport, count
from wua_onnx.cost.value import Verdict
from wua_onnx.errors import LimitError
from wua_onnx.model import load

F, B, INT = TensorProto.FLOAT, TensorProto.BOOL, TensorProto.INT64


def value(name: str, dtype: int = F, shape: Any = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, Any], opset: int = 21
) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "control", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def branch(name: str, *nodes: onnx.NodeProto, output: str) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), name, [], [value(output)])


def choice(then: onnx.GraphProto, other: onnx.GraphProto, condition: bool | None) -> CostReport:
    node = helper.make_node("If", ["c"], ["y"], name="choose", then_branch=then, else_branch=other)
    inputs = [value("x", F, ["n", 7])] + ([value("c", B, [])] if condition is None else [])
    weights = {"w": np.ones((7, 11), np.float32)} | ({} if condition is None else {"c": np.array(condition)})
    return count(load(model_of([node], inputs, [value("y")], weights)))


def dense() -> onnx.GraphProto:
    return branch("dense", helper.make_node("MatMul", ["x", "w"], ["d"]), output="d")


def relu() -> onnx.GraphProto:
    return branch("relu", helper.make_node("Relu", ["x"], ["r"]), output="r")


def test_an_if_counts_the_dearer_branch_and_is_an_upper_bound() -> None:
    for pair in ((dense(), relu()), (relu(), dense())):
        report = choice(*pair, condition=None).at(n=3)
        assert (report.macs, report.bound) == (3 * 77, "upper")
        assert report.by_node[0].reason == "the dearer of two branches"


def test_a_constant_condition_takes_its_branch_exactly() -> None:
    taken = choice(dense(), relu(), condition=True).at(n=3)
    other = choice(dense(), relu(), condition=False).at(n=3)
    assert (taken.macs, taken.bound) == (3 * 77, "exact")
    assert (other.macs, other.flops, other.bound) == (0, 3 * 7, "exact")


def test_branches_that_cost_the_same_are_exact() -> None:
    assert choice(relu(), relu(), condition=None).is_exact


def test_unknown_operators_in_a_branch_are_listed_by_their_own_name() -> None:
    strange = branch("strange", helper.make_node("Strange", ["x"], ["s"], domain="com.acme"), output="s")
    report = choice(dense(), strange, condition=None)
    assert report.unsupported == {"com.acme::Strange": 1}
    assert report.bound == "mixed"
    assert report.by_node[0].verdict is Verdict.UNKNOWN
    assert CostReport.from_dict(report.to_dict()) == report


def loop(most: Any, *, start: bool | None = True, goes_on: str = "cond_in", name: str = "loop") -> onnx.ModelProto:
    """A loop over `h = relu(h @ w)`; `most` is its trip count: an array, "shape", "input" or None."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["h", "w"], ["m"]),
            helper.make_node("Relu", ["m"], ["h_out"]),
            helper.make_node("Identity", ["cond_in"], ["cond_out"])
            if goes_on == "cond_in"
            else helper.make_node("Constant", [], ["cond_out"], value=numpy_helper.from_array(np.array(True)))
            if goes_on == "true"
            else helper.make_node({"less": "Less", "equal": "Equal"}[goes_on], ["i", "limit"], ["cond_out"]),
        ],
        "body",
        [value("i", INT, []), value("cond_in", B, []), value("h", F, ["n", 5])],
        [value("cond_out", B, []), value("h_out", F, ["n", 5])],
    )
    nodes, inputs = [], [value("x", F, ["n", 5])]
    weights: dict[str, Any] = {"w": np.ones((5, 5), np.float32), "limit": np.array(3)}
    if isinstance(most, int):
        weights["most"] = np.array(most)
    elif most == "shape":
        weights["zero"] = np.array(0)
        nodes += [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Gather", ["s", "zero"], ["most"])]
    elif most == "input":
        inputs.append(value("most", INT, []))
    if start is not None:
        weights["start"] = np.array(start)
    names = ["" if most is None else "most", "" if start is None else "start", "x"]
    nodes.append(helper.make_node("Loop", names, ["y"], name=name, body=body))
    return model_of(nodes, inputs, [value("y")], weights)


@pytest.mark.parametrize(
    ("start", "goes_on", "bound"), [(True, "cond_in", "exact"), (None, "true", "exact"), (True, "less", "upper")]
)
def test_a_loop_with_constant_trips(start: bool | None, goes_on: str, bound: str) -> None:
    report = count(load(loop(13, start=start, goes_on=goes_on), dims={"n": 3}))
    assert report.macs == 13 * 3 * 25
    assert report.flops == 13 * (2 * 3 * 25 + 15)
    assert report.bound == bound


def test_trips_from_a_shape() -> None:
    report = count(load(loop("shape")))
    assert report.is_exact
    assert report.at(n=3).macs == 3 * 3 * 25


# How a trip count is made of x, shape (n, 5), and how many trips that is for 0, 1 and 7 rows.
COUNTED = {
    "s = Shape<start = 0, end = 1>(x)  most = Squeeze(s)": (0, 1, 7),
    "s = Shape<start = -2, end = -1>(x)  e = Constant<value = int64[0] {}>()  most = Reshape(s, e)": (0, 1, 7),
    "most = Size(x)": (0, 5, 35),
    "s = Shape(x)  z = Constant<value = int64 {0}>()  n = Gather(s, z)  o = Constant<value = int64 {1}>()"
    "  most = Sub(n, o)": (0, 0, 6),
    "s = Shape(x)  z = Constant<value = int64 {0}>()  n = Gather(s, z)  m = Add(n, n)  most = Mul(m, n)": (0, 2, 98),
}


@pytest.mark.parametrize("made", COUNTED)
def test_trips_computed_from_a_shape(made: str) -> None:
    proto = onnx.parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : 17]> g (float[n,5] x, float[5,5] w) => (float[1,5] y) {{ {made}
        start = Constant<value = float[1,5] {{1,1,1,1,1}}>()  true = Constant<value = bool {{1}}>()
        y = Loop <body = b (int64 i, bool on, float[1,5] h) => (bool go, float[1,5] next)
        {{ go = Identity(on)  next = MatMul(h, w) }}> (most, true, start) }}"""
    )
    report = count(load(proto))
    assert report.is_exact
    for rows, trips in zip((0, 1, 7), COUNTED[made], strict=True):
        assert report.at(n=rows).macs == count(load(proto, dims={"n": rows})).macs == 25 * trips
        session = ReferenceEvaluator(proto)
        x, w = np.ones((rows, 5), np.float32), np.eye(5, dtype=np.float32) * 2
        y: Any = session.run(["y"], {"x": x, "w": w})
        assert y[0][0, 0] == np.float32(2.0) ** trips


@pytest.mark.parametrize("most", ["input", None, 2**63 - 1])
def test_unknown_trips_are_a_symbol_named_after_the_node(most: Any) -> None:
    report = count(load(loop(most, goes_on="equal")))
    assert report.symbols == ("n", "trips(loop)")
    assert report.at({"n": 3, "trips(loop)": 7}).macs == 7 * 3 * 25


@pytest.mark.parametrize("most", [None, 2**63 - 1])
def test_a_counter_that_ends_the_loop_tells_its_trips(most: int | None) -> None:
    """The trips 0, 1 and 2 find their own number below 3; trip 3 is the last."""
    report = count(load(loop(most, goes_on="less"), dims={"n": 7}))
    assert (report.macs, report.bound, report.symbols) == (4 * 7 * 25, "exact", ())


def test_a_hostile_loop_name_is_cleaned() -> None:
    (_, name) = count(load(loop("input", name="a\u202e\nb"))).symbols
    assert name.startswith("trips(a")
    assert "\u202e" not in name


def test_no_trips_cost_nothing() -> None:
    assert count(load(loop(0), dims={"n": 3})).macs == 0


def test_a_loop_never_runs_while_counting() -> None:
    report = count(load(loop(2**31 - 1), dims={"n": 3}))
    assert report.macs == (2**31 - 1) * 75


@pytest.mark.parametrize(("axis", "steps"), [(None, 7), ([1], 3)])
def test_scan_repeats_for_each_slice(axis: list[int] | None, steps: int) -> None:
    width = 7 * 3 * 5 // steps // 5
    body = helper.make_graph(
        [helper.make_node("Add", ["state", "slice"], ["next"]), helper.make_node("Identity", ["next"], ["out"])],
        "body",
        [value("state", F, [width, 5]), value("slice", F, [width, 5])],
        [value("next", F, [width, 5]), value("out", F, [width, 5])],
    )
    settings: dict[str, Any] = {"scan_input_axes": axis} if axis else {}
    node = helper.make_node("Scan", ["init", "x"], ["final", "all"], num_scan_inputs=1, body=body, **settings)
    inputs = [value("init", F, [width, 5]), value("x", F, [7, 3, 5])]
    report = count(load(model_of([node], inputs, [value("final"), value("all")], {})))
    assert (report.flops, report.bound) == (steps * width * 5, "exact")


def test_constants_inside_a_body_are_computed_once() -> None:
    then = branch(
        "folded", helper.make_node("Neg", ["w"], ["v"]), helper.make_node("MatMul", ["x", "v"], ["d"]), output="d"
    )
    assert choice(then, dense(), condition=None).at(n=3).flops == 2 * 3 * 77


def test_graphs_inside_each_other_are_counted_and_their_depth_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    def nested(depth: int) -> onnx.GraphProto:
        inner = (
            helper.make_node("Relu", ["x"], [f"y{depth}"])
            if depth == 0
            else helper.make_node("If", ["c"], [f"y{depth}"], then_branch=nested(depth - 1), else_branch=relu())
        )
        return branch(f"b{depth}", inner, output=f"y{depth}")

    assert choice(nested(5), relu(), condition=None).at(n=3).flops == 3 * 7
    monkeypatch.setattr(import_module("wua_onnx.cost.control"), "MAX_GRAPH_DEPTH", 4)
    with pytest.raises(LimitError, match="expected graphs at most 4 deep"):
        choice(nested(5), relu(), condition=None)
