"""Observed runs: trips, branches and shapes as counted, against the same work done by hand or written out."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import wua_onnx as wua
from wua_onnx.cost import CostReport
from wua_onnx.model import load
from wua_onnx.observe import observe

Array = np.ndarray[Any, Any]


def model(graph: str, opset: int = 18) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{graph}')


def ones(*shape: int) -> Array:
    return np.ones(shape, dtype=np.float32)


def observed(graph: str, **feeds: Any) -> CostReport:
    report = wua.cost(model(graph), {name: np.asarray(value) for name, value in feeds.items()}, observe=True)
    assert report.observed is not None
    assert report.observed.error is None
    return report


def reasons(report: CostReport) -> Mapping[str, str | None]:
    return {node.op: node.reason for node in report.by_node}


BRANCHES = """
g (float[3,5] x, float[5,5] w, bool c) => (float[3,5] y) {
  y = If(c) <then_branch = a () => (float[3,5] p) { p = MatMul(x, w) },
             else_branch = b () => (float[3,5] q) { h = Sigmoid(x)  q = Add(h, x) }>
}"""


@pytest.mark.parametrize(
    ("taken", "alone"),
    [
        (True, "g (float[3,5] x, float[5,5] w) => (float[3,5] p) { p = MatMul(x, w) }"),
        (False, "g (float[3,5] x) => (float[3,5] q) { h = Sigmoid(x)  q = Add(h, x) }"),
    ],
)
def test_an_if_costs_the_branch_it_took(taken: bool, alone: str) -> None:
    report = observed(BRANCHES, x=ones(3, 5), w=ones(5, 5), c=taken)
    written_out = wua.cost(model(alone))
    assert report.flops == written_out.flops
    assert report.backward == written_out.backward
    assert report.bound == "exact"
    assert wua.cost(model(BRANCHES)).bound == "upper"
    assert reasons(report)["If"] == f"the {'then' if taken else 'else'}_branch: observed"


def test_a_branch_that_did_not_run_takes_no_memory() -> None:
    graph = """
    g (float[3,5] x, bool c) => (float[m,5] y) {
      y = If(c) <then_branch = a () => (float[3,5] p) { p = Relu(x) },
                 else_branch = b () => (float[21,5] q) { h = Concat<axis=0>(x, x, x, x, x, x, x)  q = Neg(h) }>
    }"""
    report = observed(graph, x=ones(3, 5), c=True)
    assert report.peak_activation_bytes == 2 * 3 * 5 * 4 + 1  # x, y and the condition
    other = observed(graph, x=ones(3, 5), c=False)
    assert other.peak_activation_bytes == 2 * 21 * 5 * 4 + 3 * 5 * 4 + 1


CONSTANTS = """
g (float[3,5] x, bool c) => (float[3,5] y) {
  k = If(c) <then_branch = a () => (float[1] p) { p = Constant<value = float[1] {2}>() },
             else_branch = b () => (float[1] q) { s = ReduceSum<keepdims=0>(x)  one = Constant<value = int64[1] {1}>()
                                                  q = Reshape(s, one) }>
  y = Mul(x, k)
}"""


@pytest.mark.parametrize(("taken", "flops"), [(True, 15), (False, 15 + 14)])
def test_a_branch_of_constants_alone_is_seen(taken: bool, flops: int) -> None:
    report = observed(CONSTANTS, x=ones(3, 5), c=taken)
    assert report.flops == flops
    assert reasons(report)["If"] == f"the {'then' if taken else 'else'}_branch: observed"


# Doubles x until its sum passes a limit; at most 50 times.
UNTIL = """
g (float[7,3] x, float most) => (float[7,3] y) {
  n = Constant<value = int64 {50}>()
  t = Constant<value = bool {1}>()
  y = Loop(n, t, x) <body = b (int64 i, bool c, float[7,3] v) => (bool on, float[7,3] w) {
    w = Add(v, v)
    s = ReduceSum<keepdims=0>(w)
    on = Less(s, most)
  }>
}"""


@pytest.mark.parametrize("most", [1.0, 100.0])
def test_a_loop_costs_the_trips_it_made(most: float) -> None:
    total, trips, flops = 21.0, 0, 0
    while trips == 0 or total < most:
        total, trips = 2 * total, trips + 1
        flops += 21 + 20 + 1  # Add, ReduceSum, Less
    report = observed(UNTIL, x=ones(7, 3), most=np.float32(most))
    assert (report.flops, report.bound, report.symbols) == (flops, "exact", ())
    assert reasons(report)["Loop"] == f"{trips} trip{'s' if trips > 1 else ''} of the body: observed"
    static = wua.cost(model(UNTIL))
    assert static.bound == "upper"
    assert static.flops == 50 * 42


# The inner loop makes as many trips as the outer one has made; its body takes a branch by its own counter.
NESTED = """
g (float[2,3] x, int64 n) => (float[2,3] y) {
  t = Constant<value = bool {1}>()
  two = Constant<value = int64 {2}>()
  y = Loop(n, t, x) <body = b (int64 i, bool c, float[2,3] v) => (bool on, float[2,3] w) {
    on = Identity(c)
    u = Loop(i, c, v) <body = d (int64 j, bool e, float[2,3] p) => (bool f, float[2,3] q) {
      f = Identity(e)
      low = Less(j, two)
      q = If(low) <then_branch = k () => (float[2,3] r) { r = Exp(p) },
                   else_branch = l () => (float[2,3] s) { s0 = Neg(p)  s = Add(s0, x) }>
    }>
    w = Mul(u, x)
  }>
}"""


@pytest.mark.parametrize("n", [0, 5])
def test_loops_in_loops_and_branches_in_them(n: int) -> None:
    flops = less = 0
    for i in range(n):
        for j in range(i):
            less += 1
            flops += 6 if j < 2 else 12
        flops += 6
    report = observed(NESTED, x=np.zeros((2, 3), dtype=np.float32), n=n)
    assert (report.flops, report.int_ops, report.bound) == (flops, less, "exact")
    assert reasons(report)["Loop"] == f"{n} trip{'s' if n != 1 else ''} of the body: observed"


def test_a_loop_in_an_if() -> None:
    graph = """
    g (float[2,3] x, bool c, int64 n) => (float[2,3] y) {
      y = If(c) <then_branch = a () => (float[2,3] p) {
                   p = Loop(n, c, x) <body = b (int64 i, bool d, float[2,3] v) => (bool e, float[2,3] w) {
                     e = Identity(d)  w = Tanh(v) }> },
                 else_branch = f () => (float[2,3] q) { q = Identity(x) }>
    }"""
    assert observed(graph, x=ones(2, 3), c=True, n=11).flops == 11 * 6
    assert observed(graph, x=ones(2, 3), c=False, n=11).flops == 0


SCAN = """
g (float[3] s, float[7,3] x) => (float[3] z, float[7,3] y) {
  z, y = Scan(s, x) <num_scan_inputs=1, body = b (float[3] a, float[3] e) => (float[3] o, float[3] p) {
    o = Add(a, e)  p = Sqrt(o) }>
}"""


def test_a_scan_is_counted_alike_from_the_graph_and_from_a_run() -> None:
    report, static = observed(SCAN, s=ones(3), x=ones(7, 3)), wua.cost(model(SCAN))
    assert report.cost == static.cost
    assert report.backward == static.backward
    assert report.flops == 7 * (3 + 3)
    assert (report.bytes_moved, report.peak_activation_bytes) == (static.bytes_moved, static.peak_activation_bytes)


def test_a_sequence_map_runs_once_for_each_element() -> None:
    graph = """
    g (float[3,5] x, float[2,5] z) => (seq(float[?,5]) y) {
      s = SequenceConstruct(x, z)
      y = SequenceMap(s) <body = b (float[?,5] v) => (float[?,5] w) { w = Add(v, v) }>
    }"""
    report = observed(graph, x=ones(3, 5), z=ones(2, 5))
    assert (report.flops, report.symbols) == (3 * 5 + 2 * 5, ())
    assert reasons(report)["SequenceMap"] == "2 trips of the body: observed"


def test_shapes_that_depend_on_data_come_from_the_run() -> None:
    graph = """
    g (float[13] x, float[13,3] w, float[3,2] u) => (float[k,2] y) {
      at = NonZero(x)
      one = Constant<value = int64[1] {-1}>()
      flat = Reshape(at, one)
      rows = Gather<axis=0>(w, flat)
      y = MatMul(rows, u)
    }"""
    x = np.zeros(13, dtype=np.float32)
    x[[1, 4, 5, 9, 12]] = 1
    report = observed(graph, x=x, w=ones(13, 3), u=ones(3, 2))
    assert (report.macs, report.flops, report.symbols) == (5 * 3 * 2, 2 * 5 * 3 * 2, ())
    assert [node.outputs for node in report.by_node if node.op in ("NonZero", "MatMul")] == [((1, 5),), ((5, 2),)]
    assert wua.cost(model(graph)).symbols


GROWING = """
g (float[2,3] x, float[3,3] w, int64 n) => (float[m,3] y, float[?,3] z) {
  t = Constant<value = bool {1}>()
  y, z = Loop(n, t, x) <body = b (int64 i, bool c, float[r,3] v) => (bool on, float[?,3] o, float[3] last) {
    on = Identity(c)
    o = Concat<axis=0>(v, x)
    h = MatMul(o, w)
    last = ReduceMax<keepdims=0>(h, axis)
  }>
}"""
GROWING = GROWING.replace("    h =", "    axis = Constant<value = int64[1] {0}>()\n    h =")


def test_shapes_that_change_from_trip_to_trip_are_counted_trip_by_trip() -> None:
    rows, macs, compare, moved = 2, 0, 0, 0
    for _ in range(5):
        before, rows = rows, rows + 2
        macs += rows * 3 * 3
        compare += (rows - 1) * 3
        moved += 4 * ((before + 2) * 3 + rows * 3)  # Concat
        moved += 4 * (rows * 3 + 3 * 3 + rows * 3)  # MatMul
        moved += 4 * (rows * 3 + 3)  # ReduceMax
        moved += 8  # its axis
    report = observed(GROWING, x=ones(2, 3), w=ones(3, 3), n=5)
    assert (report.macs, report.cost.compare, report.bound) == (macs, compare, "exact")
    loop = next(node for node in report.by_node if node.op == "Loop")
    assert loop.outputs == ((12, 3), (5, 3))
    assert loop.bytes_read + loop.bytes_written == moved
    assert report.peak_activation_bytes > 4 * 12 * 3
    static = next(node for node in wua.cost(model(GROWING)).by_node if node.op == "Loop")
    assert static.verdict == "estimate"
    assert str(static.reason).endswith("every trip counted on the same shapes, which may change")


def test_shape_arithmetic_moves_its_bytes_on_every_trip() -> None:
    graph = """
    g (float[7,3] x, int64 n) => (float[7,3] y) {
      t = Constant<value = bool {1}>()
      y = Loop(n, t, x) <body = b (int64 i, bool c, float[7,3] v) => (bool on, float[7,3] w) {
        on = Identity(c)  s = Shape(v)  w = Reshape(v, s) }>
    }"""
    assert observed(graph, x=ones(7, 3), n=5).bytes_moved == 5 * 2 * 8


@pytest.mark.parametrize(("growing", "bound"), [(False, "exact"), (True, "lower")])
def test_work_that_onnxruntime_writes_out_is_counted_or_said_to_be_unknown(growing: bool, bound: str) -> None:
    step = "o = Concat<axis=0>(v, x)" if growing else "o = Add(v, x)"
    graph = f"""
    g (float[2,3] x, int64 n) => (float[m,3] y) {{
      t = Constant<value = bool {{1}}>()
      y = Loop(n, t, x) <body = b (int64 i, bool c, float[r,3] v) => (bool on, float[?,3] o) {{
        on = Identity(c)  {step}  h = Mish(o)  k = Relu(h)
      }}>
    }}"""
    report = observed(graph, x=ones(2, 3), n=5)
    assert report.bound == bound
    if growing:
        assert report.unsupported == {"Mish": 1}
    else:
        alone = wua.cost(model("g (float[2,3] x) => (float[2,3] y) { y = Mish(x) }"))
        assert report.flops == 5 * (6 + alone.flops + 6)


def test_names_of_the_model_do_not_matter() -> None:
    graph = """
    g (float[2,3] ran0_n0_, int64 n) => (float[2,3] ran0_v0_) {
      t = Constant<value = bool {1}>()
      [ran0_n0_] h = Relu(ran0_n0_)
      [ran0_n0_] ran0_v0_ = Loop(n, t, h) <body = b (int64 i, bool c, float[2,3] v) => (bool on, float[2,3] w) {
        on = Identity(c)  [ran0_n0_] w = Add(v, v) }>
    }"""
    assert observed(graph, ran0_n0_=ones(2, 3), n=3).flops == 6 + 3 * 6


def test_one_sample_is_run_and_counted() -> None:
    graph = UNTIL.replace("float[7,3] x", "float[batch,3] x").replace("float[7,3]", "float[batch,3]")
    one = wua.cost(model(graph), {"x": np.stack([ones(3), 9 * ones(3)]), "most": np.float32(100.0)}, observe=True)
    trips = next(k for k in range(1, 50) if 3 * 2**k >= 100)
    assert one.observed is not None
    assert one.observed.samples == 1
    assert (one.flops, one.samples_per_run) == (trips * (3 + 2 + 1), 1)


def test_a_fixed_batch_is_one_run() -> None:
    graph = UNTIL.replace("float most", "float[1] most0").replace("n = Con", "most = Squeeze(most0) n = Con")
    report = wua.cost(model(graph), {"x": ones(4, 3), "most0": np.full(1, 100, dtype=np.float32)}, observe=True)
    assert report.observed is not None
    assert report.observed.samples == 7 == report.samples_per_run


def test_observations_say_what_ran() -> None:
    loaded = load(model(NESTED))
    found = observe(loaded, {"x": ones(2, 3), "n": np.array(4)})
    nodes = list(loaded.all_nodes())
    ran = {
        (nodes[number].op_type, name, nodes[number].outputs[0].name): n for (number, name), n in found.graphs.items()
    }
    assert ran == {
        ("Loop", "body", "y"): 4,
        ("Loop", "body", "u"): 6,
        ("If", "then_branch", "q"): 1 + 2 + 2,
        ("If", "else_branch", "q"): 1,
    }
    assert found.samples == 1
    assert len(found.nodes) == len(nodes)
    executed = {node.op_type: sum(seen.values()) for node, seen in zip(nodes, found.nodes, strict=True)}
    assert executed["Exp"] == 5
    assert executed["Neg"] == 1
    assert executed["Constant"] == 0


def test_training_of_the_observed_sample() -> None:
    report = observed(UNTIL, x=ones(7, 3), most=np.float32(100.0))
    training = report.training(samples=14, epochs=2, factor=2.0)
    assert Fraction(training.flops) == Fraction(report.flops) * 3 * 14 * 2 / 7


def test_a_loop_in_a_function_of_the_model() -> None:
    function = """
    <domain: "local", opset_import: ["" : 18]>
    again (v, n) => (w) {
      t = Constant<value = bool {1}>()
      w = Loop(n, t, v) <body = b (int64 i, bool c, float[2,3] p) => (bool on, float[2,3] q) {
        on = Identity(c)  q = Tanh(p) }>
    }"""
    graph = "g (float[2,3] x, int64 n, int64 m) => (float[2,3] y) { h = local.again(x, n)  y = local.again(h, m) }"
    both = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18, "local" : 1]>\n{graph}\n{function}')
    report = wua.cost(both, {"x": ones(2, 3), "n": np.array(5), "m": np.array(7)}, observe=True)
    assert (report.flops, report.bound) == ((5 + 7) * 6, "exact")


def test_operators_of_other_domains_are_told_apart_by_name_too() -> None:
    graph = "g (float[2,3] x, float[3] b) => (float[2,3] y) { h = com.microsoft.BiasGelu(x, b)  y = Relu(h) }"
    own = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>\n{graph}')
    loaded = load(own)
    found = observe(loaded, {"x": ones(2, 3), "b": ones(3)})
    assert found.nodes[0] == {(((2, 3), (3,)), ((2, 3),)): 1}
    assert wua.cost(own, {"x": ones(2, 3), "b": ones(3)}, observe=True).cost == wua.cost(own).cost
