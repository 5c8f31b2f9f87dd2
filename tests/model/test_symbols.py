"""Dimension names become generated symbols, and keep their meaning."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from wua_onnx.cost import count
from wua_onnx.model import load


def two_inputs(first: list[int | str | None], second: list[int | str | None]) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["z"], ["b"])],
        "two",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", first), ("z", second))],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("a", "b")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def test_one_name_is_one_symbol() -> None:
    report = count(load(two_inputs(["n", 3], ["n", 5])))
    assert report.symbols == ("n",)
    assert report.at(n=7).flops == 7 * 8


def test_unnamed_dimensions_are_different_symbols() -> None:
    report = count(load(two_inputs([None, 3], [None, 5])))
    assert report.symbols == ("x[0]", "z[0]")
    assert report.at({"x[0]": 7, "z[0]": 11}).flops == 21 + 55


def test_symbols_that_differ_in_the_first_letters_case_stay_apart() -> None:
    report = count(load(two_inputs(["N", 3], ["n", 5])))
    assert report.at(N=7, n=11).flops == 21 + 55


def test_names_like_the_generated_ones_do_not_collide() -> None:
    report = count(load(two_inputs(["d1", 3], ["d0", 5])))
    assert report.at(d1=7, d0=11).flops == 21 + 55


def test_expressions_over_names_of_other_inputs_are_read_as_such() -> None:
    model = two_inputs(["n", 3], ["m", 5])
    model.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, ["n", 3]))
    model.graph.node.append(helper.make_node("Concat", ["x", "x"], ["c"], axis=0))
    model.graph.output.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, ["2*n", 3]))
    loaded = load(model)
    (value,) = [v for v in loaded.ir_model.graph.outputs if v.name == "c"]
    shape = loaded.shape(value)
    assert shape is not None
    assert [loaded.text(dim) for dim in shape] == ["2*n", "3"]
