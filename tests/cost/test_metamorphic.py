"""Changes of a model that must not change its count, or must change it in a known way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.cost import CostReport, count
from wua_onnx.model import load
from wua_onnx.model.dims import Expr

from .nodes import cost_of, figures

GRAPHS = Path(__file__).parent / "graphs"
KINDS = ("macs", "int_macs", "mul", "add", "div", "compare", "special", "int_ops")


def all_figures(report: CostReport) -> tuple[Any, ...]:
    figures = tuple(getattr(report.cost, kind) for kind in KINDS)
    return (*figures, report.params, report.activations, report.peak, report.moved)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "swin_t", "vit_b_16"])
def test_binding_after_counting_is_binding_before(name: str) -> None:
    path = GRAPHS / f"{name}.onnx"
    after = count(load(path)).at(batch=7)
    before = count(load(path, dims={"batch": 7}))
    assert all_figures(after) == all_figures(before)
    assert [node.cost for node in after.by_node] == [node.cost for node in before.by_node]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "swin_t", "vit_b_16"])
def test_a_batch_of_k_costs_k_times(name: str) -> None:
    report = count(load(GRAPHS / f"{name}.onnx"))
    one, eleven = report.at(batch=1), report.at(batch=11)
    assert eleven.macs == 11 * one.macs
    assert eleven.flops == 11 * one.flops


def test_what_does_not_depend_on_the_batch_is_counted_once() -> None:
    """BatchNormalization takes the root of each variance once, whatever the batch."""
    report = count(load(GRAPHS / "densenet121.onnx"))
    fixed = [n for n in report.by_node if isinstance(n.cost.flops, Expr) and () in n.cost.flops.terms]
    assert {node.op for node in fixed} == {"BatchNormalization"}


@pytest.mark.parametrize("name", ["resnet18", "swin_t"])
def test_renaming_everything_changes_nothing(name: str) -> None:
    original = onnx.load(GRAPHS / f"{name}.onnx", load_external_data=False)
    renamed = onnx.ModelProto()
    renamed.CopyFrom(original)
    for node in renamed.graph.node:
        node.name = f"other/{node.name}"
        node.input[:] = [f"q{v}" if v else "" for v in node.input]
        node.output[:] = [f"q{v}" if v else "" for v in node.output]
    for value in (*renamed.graph.input, *renamed.graph.output, *renamed.graph.initializer):
        value.name = f"q{value.name}"
    for value in (*renamed.graph.input, *renamed.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = "9**9**9"
    first, second = count(load(original)), count(load(renamed))
    assert second.symbols == ("9**9**9",)
    assert all_figures(first.at(batch=3)) == all_figures(second.at({"9**9**9": 3}))


def two_layers(as_function: bool) -> onnx.ModelProto:
    block = [
        helper.make_node("MatMul", ["a", "b"], ["t"]),
        helper.make_node("Gelu", ["t"], ["g"], domain=""),
        helper.make_node("LayerNormalization", ["g", "s"], ["r"]),
    ]
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)]
    nodes, functions = [], []
    if as_function:
        functions = [helper.make_function("mine", "Block", ["a", "b", "s"], ["r"], block, opsets)]
        nodes = [
            helper.make_node("Block", ["x", "w", "s"], ["h"], domain="mine"),
            helper.make_node("Block", ["h", "w", "s"], ["y"], domain="mine"),
        ]
    else:
        for index, (source, target) in enumerate((("x", "h"), ("h", "y"))):
            names = {"a": source, "b": "w", "s": "s", "t": f"t{index}", "g": f"g{index}", "r": target}
            nodes += [
                helper.make_node(n.op_type, [names[v] for v in n.input], [names[v] for v in n.output]) for n in block
            ]
    weights = {"w": np.ones((5, 5), np.float32), "s": np.ones(5, np.float32)}
    graph = helper.make_graph(
        nodes,
        "layers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 7, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, functions=functions, ir_version=10)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    return model


def test_writing_functions_out_changes_nothing() -> None:
    called, written = count(load(two_layers(True))), count(load(two_layers(False)))
    assert all_figures(called) == all_figures(written)
    assert called.is_exact
    assert called.at(batch=2).macs == 2 * 2 * 7 * 25


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(1, 20))
def test_a_gemm_in_two_halves_costs_the_same(rows: int, inner: int, left: int, right: int) -> None:
    whole = figures(cost_of("Gemm", (rows, inner), (inner, left + right), (left + right,)))
    halves = [figures(cost_of("Gemm", (rows, inner), (inner, part), (part,))) for part in (left, right)]
    assert whole == halves[0] + halves[1]


@settings(deadline=None, max_examples=25)
@given(groups=st.integers(1, 5), inner=st.integers(1, 4), outer=st.integers(1, 4), size=st.integers(3, 9))
def test_a_grouped_convolution_is_its_groups(groups: int, inner: int, outer: int, size: int) -> None:
    whole = figures(
        cost_of("Conv", (2, groups * inner, size, size), (groups * outer, inner, 3, 2), group=groups, pads=[1, 0, 1, 1])
    )
    part = figures(cost_of("Conv", (2, inner, size, size), (outer, inner, 3, 2), pads=[1, 0, 1, 1]))
    assert whole["macs"] == groups * part["macs"]


@settings(deadline=None, max_examples=25)
@given(batch=st.integers(1, 9), op=st.sampled_from(["Relu", "Softmax", "LayerNormalization", "ReduceMean", "Gelu"]))
def test_each_sample_costs_the_same(batch: int, op: str) -> None:
    extra: tuple[Any, ...] = {"LayerNormalization": ((5,),), "ReduceMean": (np.array([2]),)}.get(op, ())
    one, many = figures(cost_of(op, (1, 3, 5), *extra)), figures(cost_of(op, (batch, 3, 5), *extra))
    assert many == {kind: batch * times for kind, times in one.items()}


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 20, 23, 25])
def test_the_opset_changes_nothing_where_the_meaning_stays(opset: int) -> None:
    expected = figures(cost_of("Conv", (2, 3, 7, 5), (5, 3, 3, 2), (5,), opset=23))
    assert figures(cost_of("Conv", (2, 3, 7, 5), (5, 3, 3, 2), (5,), opset=opset)) == expected
    axes: dict[str, Any] = {"axes": [1]} if opset < 18 else {}
    inputs = [(2, 3, 5)] if opset < 18 else [(2, 3, 5), np.array([1])]
    assert figures(cost_of("ReduceMean", *inputs, opset=opset, **axes)) == {"add": 20, "div": 10}


def test_folding_a_constant_changes_nothing() -> None:
    def scaled(folded: bool) -> onnx.ModelProto:
        weights = {"w": np.ones((5, 3), np.float32)} | ({} if folded else {"two": np.array(2, np.float32)})
        nodes = [] if folded else [helper.make_node("Mul", ["w", "two"], ["v"])]
        nodes.append(helper.make_node("MatMul", ["x", "w" if folded else "v"], ["y"]))
        graph = helper.make_graph(
            nodes,
            "scaled",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 5])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(array, name) for name, array in weights.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)

    plain, constant = count(load(scaled(True))), count(load(scaled(False)))
    assert constant.flops == plain.flops
    assert [node.reason for node in constant.by_node] == ["depends on constants only: computed once at load", None]
