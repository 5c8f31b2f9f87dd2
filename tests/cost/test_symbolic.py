"""Free dimensions: curves, hostile names, and a graph of 10,000 nodes."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from wua_onnx.cost import CostReport, count
from wua_onnx.cost import report as report_module
from wua_onnx.cost.curve import FIGURES
from wua_onnx.errors import ShapeError
from wua_onnx.model import dims as d
from wua_onnx.model import load

from .symbolic import attention, model, node

# Curves ----------------------------------------------------------------------------------------------------------


def test_a_curve_is_the_report_at_every_size() -> None:
    report = attention()
    curve = report.curve("seq", range(0, 40, 3), batch=5)
    assert len(curve) == 14
    for point in curve:
        bound = report.at(seq=point.size, batch=5)
        assert {name: getattr(point, name) for name in FIGURES} == {name: getattr(bound, name) for name in FIGURES}
        assert point.intensity == bound.intensity


def test_a_curve_over_floors_and_larger_of_two() -> None:
    pooled = node("MaxPool", ["x"], ["p"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    report = count(load(model([pooled, node("Relu", ["p"], ["y"])], {"x": [1, 2, "height", 17]}, ["y"])))
    for point in report.curve("height", range(3, 12)):
        assert point.macs == 0
        rows = -(-(point.size - 3) // 2) + 1
        assert point.flops == 2 * rows * 8 * 8 + 2 * rows * 8


def test_a_curve_as_a_data_frame_and_as_columns() -> None:
    curve = attention().curve("seq", np.array([2, 3, 5]), {"batch": 1})
    frame = curve.to_pandas()
    assert list(frame.index) == curve.column("size") == [2, 3, 5]
    assert list(frame["macs"]) == curve.column("macs") == [2 * n * n * 7 + n * 77 for n in (2, 3, 5)]
    assert repr(curve) == "<Curve over seq: 3 points, 2…5>"
    assert curve[-1].size == 5


@pytest.mark.parametrize(
    ("symbol", "sizes", "others", "says"),
    [
        ("seq", [1], {}, "batch"),
        ("width", [1], {"batch": 1}, "'width'"),
        ("seq", [-1], {"batch": 1}, "-1"),
        ("seq", [1.5], {"batch": 1}, "1.5"),
        ("seq", [1], {"batch": 1, "depth": 2}, "'depth'"),
    ],
)
def test_curves_that_make_no_sense(symbol: str, sizes: Any, others: dict[str, int], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        attention().curve(symbol, sizes, **others)


def test_figures_are_python_integers_once_bound_with_numpy_ones() -> None:
    sizes: Any = {"seq": np.int64(3), "batch": np.int32(2)}
    report = attention().at(sizes)
    assert [type(getattr(report, name)) for name in FIGURES] == [int] * len(FIGURES)
    json.dumps(report.to_dict())


# Names of dimensions ---------------------------------------------------------------------------------------------

LONG = "n" * 10_000
HOSTILE = [
    "9**9**9", "a b", "batch-size", "__class__", "__import__('os').system('true')", "lambda: 0", "x; y", "1e999999999",
    "12", "_d0", "d0", "trips(loop)", "max", "Max(1, 2)", "a\nb", "a\u202eb", "é", "日本", "'", '"', "{}", "%s", "\\",
    "*", LONG, "True", "None", "I", "E", "pi", "zoo", "oo", "S", "N", "beta", "gamma", "=cmd|' /C calc'!A0",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name[:30]))
def test_hostile_names_are_symbols_like_any_other(name: str) -> None:
    nodes = [node("Concat", ["x", "x"], ["c"], axis=0), node("MatMul", ["c", "w"], ["y"])]
    report = count(load(model(nodes, {"x": [name, 3]}, ["y"], {"w": (3, 5)})))
    (shown,) = report.symbols
    assert len(shown) < 250
    assert shown.isprintable()
    assert report.at({shown: 7}).macs == 2 * 7 * 3 * 5
    assert count(load(model(nodes, {"x": [name, 3]}, ["y"], {"w": (3, 5)}), dims={name: 7})).macs == 210
    assert CostReport.from_dict(json.loads(json.dumps(report.to_dict()))).at({shown: 7}).macs == 210
    assert str(report.macs)
    assert report.curve(shown, [7])[0].macs == 210


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a\x00", "a\\u0000"),
        (f"{LONG}1{LONG}", f"{LONG}2{LONG}"),
        ("_d0", "_d0#2"),
        ("n", "n "),
        ("N", "n"),
    ],
    ids=["escapes", "lengths", "invented", "spaces", "case"],
)
def test_names_that_read_alike_stay_different_symbols(first: str, second: str) -> None:
    nodes = [node("Relu", ["x"], ["a"]), node("Relu", ["z"], ["b"])]
    report = count(load(model(nodes, {"x": [first, 3], "z": [second, 5]}, ["a", "b"])))
    one, other = report.symbols
    values = {report.at({one: p, other: q}).flops for p, q in ((7, 11), (11, 7))}
    assert values == {7 * 3 + 11 * 5, 11 * 3 + 7 * 5}


def test_dimensions_without_a_name_and_with_an_empty_one() -> None:
    nodes = [node("Relu", ["x"], ["a"]), node("Relu", ["z"], ["b"])]
    report = count(load(model(nodes, {"x": [None, 3], "z": ["", 5]}, ["a", "b"])))
    assert report.symbols == ("x[0]", "z[0]")
    assert report.at({"x[0]": 7, "z[0]": 11}).flops == 21 + 55


def test_expressions_quote_names_that_read_as_more() -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    report = count(load(model(nodes, {"x": ["batch-size", "seq", 3]}, ["y"], {"w": (3, 5)})))
    assert report.to_dict()["macs"]["text"] == "15*'batch-size'*seq"
    assert report.by_node[0].outputs[0] is not None
    assert d.text(report.by_node[0].outputs[0][0]) == "batch-size"


def test_totals_are_polynomials_in_the_names_of_the_file() -> None:
    report = attention()
    assert str(report.macs) == "14*batch*seq**2 + 77*batch*seq"
    assert report.to_dict()["macs"]["text"] == "14*batch*seq**2 + 77*batch*seq"
    assert report.symbols == ("batch", "seq")


# A large graph ---------------------------------------------------------------------------------------------------

LAYERS, WIDTH = 1250, 8


def chain() -> onnx.ModelProto:
    """Return 10,000 nodes over two free dimensions: a residual block, its shape read and restored, 1,250 times."""
    nodes, x = [], "x"
    for i in range(LAYERS):
        nodes += [
            node("Shape", [x], [f"s{i}"]), node("Reshape", [x, "flat"], [f"f{i}"]),
            node("MatMul", [f"f{i}", "w"], [f"m{i}"]), node("Add", [f"m{i}", "b"], [f"a{i}"]),
            node("Relu", [f"a{i}"], [f"r{i}"]),
            node("Reshape", [f"r{i}", f"s{i}"], [f"g{i}"]), node("Add", [f"g{i}", x], [f"h{i}"]),
            node("Softmax", [f"h{i}"], [f"x{i}"]),
        ]  # fmt: skip
        x = f"x{i}"
    result = model(nodes, {"x": ["batch", "seq", WIDTH]}, [x], {"w": (WIDTH, WIDTH), "b": (WIDTH,)})
    result.graph.initializer.append(numpy_helper.from_array(np.array([-1, WIDTH], np.int64), "flat"))
    return result


def test_ten_thousand_nodes_are_counted_without_sympy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count itself is plain Python; only shape inference, before it, knows SymPy."""
    loaded = load(chain())
    assert len(loaded.nodes) == 8 * LAYERS

    def refuse(*arguments: Any, **named: Any) -> Any:
        raise AssertionError("SymPy was asked to count")

    monkeypatch.setattr("sympy.core.basic.Basic.__new__", refuse)
    monkeypatch.setitem(sys.modules, "sympy", None)
    monkeypatch.setattr(report_module, "substitute", counting := _Counting(d.substitute))
    report = count(loaded)
    assert 0 < counting.calls < 100  # few expressions differ, and each is renamed once
    data = report.to_dict()
    assert data["macs"]["text"] == f"{LAYERS * WIDTH * WIDTH}*batch*seq"
    elements = 3 * 5 * WIDTH
    assert report.at(batch=3, seq=5).cost.macs == LAYERS * elements * WIDTH
    assert report.at(batch=3, seq=5).cost.special == LAYERS * elements
    # The input of a block, its flat view in use no more, and two of the values in between.
    assert report.at(batch=3, seq=5).peak == 3 * 4 * elements + 3 * 8
    assert report.symbols == ("batch", "seq")


class _Counting:
    """A function that counts its calls."""

    def __init__(self, function: Any) -> None:
        self.calls, self._function = 0, function

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        return self._function(*arguments)
