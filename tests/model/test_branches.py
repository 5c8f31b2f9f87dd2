"""Shapes of an If: those of both branches where they agree, of the one taken where the condition is known."""

from __future__ import annotations

import onnx
import onnx.parser
import pytest

from wua_onnx.cost import CostReport, count
from wua_onnx.model import load


def model(graph: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]>\n{graph}')


def report(graph: str) -> CostReport:
    return count(load(model(graph)))


@pytest.mark.parametrize("swapped", [False, True])
def test_where_one_branch_is_unknown_so_is_the_result(swapped: bool) -> None:
    """A MatMul of [2,3] and [5,7] would be an error; the other branch may hand over five columns."""
    branches = ["{ u = Identity(x) }", "{ u = Reshape(x, k) }"]
    then, other = reversed(branches) if swapped else branches
    found = report(f"""
    g (float[2,3] x, bool c, int64[m] k, float[5,7] w) => (float[r,s] y) {{
      p = If(c) <then_branch = a () => (float[] u) {then}, else_branch = b () => (float[] u) {other}>
      y = MatMul(p, w)
    }}""")
    assert found.unsupported == {"MatMul": 1}
    assert found.bound == "lower"


def test_a_condition_that_shapes_tell_takes_its_branch_exactly() -> None:
    found = report("""
    g (float[2,1,3] x, float[3,7] w) => (float[r,s] y) {
      s = Shape(x)
      at = Constant<value = int64 {1}>()
      one = Constant<value = int64 {1}>()
      axis = Constant<value = int64[1] {1}>()
      d = Gather(s, at)
      c = Equal(d, one)
      p = If(c) <then_branch = a () => (float[] u) { u = Squeeze(x, axis) },
                 else_branch = b () => (float[] v) { v = Relu(x) }>
      y = MatMul(p, w)
    }""")
    assert (found.macs, found.flops, found.bound) == (2 * 3 * 7, 2 * 2 * 3 * 7, "exact")
    assert {node.op: node.reason for node in found.by_node}["If"] == "the then_branch: its condition is constant"


def test_a_condition_on_a_free_dimension_is_not_known() -> None:
    found = report("""
    g (float[n,3] x) => (float[r,3] y) {
      s = Shape(x)
      zero = Constant<value = int64 {0}>()
      one = Constant<value = int64 {1}>()
      d = Gather(s, zero)
      c = Equal(d, one)
      y = If(c) <then_branch = a () => (float[] u) { u = Neg(x) },
                 else_branch = b () => (float[] v) { v = Identity(x) }>
    }""")
    assert found.bound == "upper"
    assert found.at(n=5).flops == 15


def test_axes_that_a_range_over_a_rank_tells() -> None:
    """As the function of RMSNormalization takes them: the last two of three axes."""
    found = report("""
    g (float[2,3,5] x) => (float[a,b,c] y) {
      s = Shape(x)
      rank = Size(s)
      one = Constant<value = int64 {1}>()
      axes = Range(one, rank, one)
      y = ReduceSum(x, axes)
    }""")
    assert (found.flops, found.bound) == (30 - 2, "exact")


def test_a_condition_on_a_size_that_changes_from_trip_to_trip_is_not_known() -> None:
    """Before the first trip the state has one row, then two, four, eight: the second branch runs too."""
    found = report("""
    g (float[1,3] x) => (float[] y) {
      trips = Constant<value = int64 {5}>()
      go = Constant<value = bool {1}>()
      y = Loop(trips, go, x) <body = b (int64 i, bool c, float[] h) => (bool d, float[] n) {
        d = Identity(c)
        s = Shape(h)
        zero = Constant<value = int64 {0}>()
        one = Constant<value = int64 {1}>()
        rows = Gather(s, zero)
        first = Equal(rows, one)
        t = If(first) <then_branch = p () => (float[] u) { u = Identity(h) },
                       else_branch = q () => (float[] v) { v = Exp(h) }>
        n = Concat<axis = 0>(t, t)
      }>
    }""")
    assert found.cost.special != 0 or found.unsupported == {"Exp": 1}
