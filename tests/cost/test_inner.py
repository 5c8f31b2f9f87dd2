"""What nodes inside of branches and loops contribute, by where they lie; and the MACs of the layers that they are."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest

import wua_onnx as wua
from wua_onnx.cost import count
from wua_onnx.cost.value import Cost
from wua_onnx.model import load

# 3 trips, with 7 rows: of 5 to 5 by `w`; then 2 trips of 5 to 5 by `v` in each of them, or 5 to 11 to 5
INNER = "body2 = b2 (int64 j, bool k, float[7, 5] s) => (bool l, float[7, 5] t) { l = Identity(k) t = MatMul(s, v) }"
LOOP = f"""(float[7, 5] x, bool c) => (float[7, 5] y) {{
    yes = Constant<value = bool {{1}}>() three = Constant<value = int64 {{3}}>() two = Constant<value = int64 {{2}}>()
    y = Loop(three, yes, x) <body = b1 (int64 i, bool g, float[7, 5] a) => (bool h, float[7, 5] d) {{
        h = Identity(g)
        e = MatMul(a, w)
        f = Loop(two, yes, e) <{INNER.replace("body2", "body")}>
        d = If(c) <then_branch = t1 () => (float[7, 5] p) {{ n = MatMul(f, m) p = MatMul(n, o) }},
                   else_branch = t2 () => (float[7, 5] q) {{ q = MatMul(f, u) }}>
    }}>
}}"""
ROWS, SHAPES = 7, {"w": (5, 5), "v": (5, 5), "m": (5, 11), "o": (11, 5), "u": (5, 5)}
TIMES = {"w": 3, "v": 6, "m": 3, "o": 3, "u": 3}


@pytest.fixture(scope="module")
def proto() -> onnx.ModelProto:
    made = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> g {LOOP}')
    rng = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        made.graph.initializer.append(onnx.numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name))
    return made


def test_each_inner_node_counts_as_often_as_it_runs(proto: onnx.ModelProto) -> None:
    report = count(load(proto))
    (loop,) = (node for node in report.by_node if node.inner)
    macs = {path: cost.macs for path, cost in loop.inner if cost != Cost()}
    own = {name: TIMES[name] * ROWS * rows * columns for name, (rows, columns) in SHAPES.items()}
    both = own["m"] + own["o"]
    assert macs == {
        (("body", 1),): own["w"],
        (("body", 2),): own["v"],
        (("body", 2), ("body", 1)): own["v"],
        (("body", 3),): both,  # the dearer branch
        (("body", 3), ("then_branch", 0)): own["m"],
        (("body", 3), ("then_branch", 1)): own["o"],
        (("body", 3), ("else_branch", 0)): own["u"],
    }
    assert report.macs == own["w"] + own["v"] + both
    assert report.macs == sum(cost for path, cost in macs.items() if len(path) == 1)


def test_symbols_inside_are_bound_with_the_report() -> None:
    text = LOOP.replace("float[7, 5] x", "float[n, 5] x").replace("float[7, 5] ", "float[n, 5] ")
    made = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> g {text}')
    for name, shape in SHAPES.items():
        made.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(shape, np.float32), name))
    report = count(load(made)).at(n=13)
    (loop,) = (node for node in report.by_node if node.inner)
    assert dict(loop.inner)[("body", 1),].macs == 3 * 13 * 25


def test_layers_inside_have_their_macs(proto: onnx.ModelProto) -> None:
    layers = wua.analyze(proto, criterion="magnitude").to_dict()["layers"]
    found = {layer["name"]: layer["macs"] for layer in layers}
    assert found == {name: TIMES[name] * ROWS * rows * columns for name, (rows, columns) in SHAPES.items()}
