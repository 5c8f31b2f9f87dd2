"""Random networks under changes that must not change their count, or must change it in a known way."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, inliner, numpy_helper, version_converter

from wua_onnx.cost import CostReport, count
from wua_onnx.cost.value import KINDS
from wua_onnx.model import load

from .nodes import whole

STEPS, WIDTH, OPSET = 5, 7, 17
Weights = dict[str, np.ndarray[Any, Any]]
Layer = Callable[[str, str, int, Weights], tuple[list[onnx.NodeProto], int]]

node = helper.make_node


def weight(weights: Weights, name: str, *shape: int) -> str:
    weights[name] = np.full(shape, len(weights), np.float32)  # no two alike
    return name


def dense(x: str, y: str, width: int, weights: Weights) -> tuple[list[onnx.NodeProto], int]:
    w, b = weight(weights, f"{y}.w", width, 11), weight(weights, f"{y}.b", 11)
    return [node("MatMul", [x, w], [f"{y}.m"]), node("Add", [f"{y}.m", b], [y])], 11


def convolution(x: str, y: str, width: int, weights: Weights) -> tuple[list[onnx.NodeProto], int]:
    w, b = weight(weights, f"{y}.w", STEPS, STEPS, 3), weight(weights, f"{y}.b", STEPS)
    return [node("Conv", [x, w, b], [y], pads=[1, 1])], width


def norm(x: str, y: str, width: int, weights: Weights) -> tuple[list[onnx.NodeProto], int]:
    s, b = weight(weights, f"{y}.s", width), weight(weights, f"{y}.b", width)
    return [node("LayerNormalization", [x, s, b], [y])], width


def attention(x: str, y: str, width: int, weights: Weights) -> tuple[list[onnx.NodeProto], int]:
    return [
        node("Transpose", [x], [f"{y}.t"], perm=[0, 2, 1]),
        node("MatMul", [x, f"{y}.t"], [f"{y}.q"]),
        node("Softmax", [f"{y}.q"], [f"{y}.p"], axis=-1),
        node("MatMul", [f"{y}.p", x], [f"{y}.v"]),
        node("Add", [f"{y}.v", x], [y]),
    ], width


def activation(x: str, y: str, width: int, weights: Weights) -> tuple[list[onnx.NodeProto], int]:
    return [node("Sigmoid", [x], [f"{y}.s"]), node("Mul", [x, f"{y}.s"], [y])], width


networks = st.lists(st.sampled_from([dense, convolution, norm, attention, activation]), min_size=1, max_size=6)


def built(layers: list[Layer], batch: int | str = "batch") -> onnx.ModelProto:
    """Return the layers one after the other, on (batch, STEPS, WIDTH)."""
    nodes: list[onnx.NodeProto] = []
    weights: Weights = {}
    width = WIDTH
    for index, layer in enumerate(layers):
        added, width = layer(f"h{index}", f"h{index + 1}", width, weights)
        nodes += added
    graph = helper.make_graph(
        nodes,
        "layers",
        [helper.make_tensor_value_info("h0", TensorProto.FLOAT, [batch, STEPS, WIDTH])],
        [helper.make_tensor_value_info(f"h{len(layers)}", TensorProto.FLOAT, [batch, STEPS, width])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


def figures(report: CostReport) -> dict[str, Any]:
    """Return every total, forward and backward."""
    totals = {f"{side} {kind}": getattr(getattr(report, side), kind) for side in ("cost", "backward") for kind in KINDS}
    sizes = (report.params, report.weight_bytes, report.trainable, report.activations, report.peak, report.moved)
    return {**totals, "sizes": sizes, "bound": report.bound}


def counted(model: onnx.ModelProto) -> dict[str, Any]:
    return figures(count(load(model)).at(batch=3))


def with_function(model: onnx.ModelProto, start: int, stop: int) -> onnx.ModelProto:
    """Return the model with nodes `start` to `stop` in a function that they are called through."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    nodes = list(changed.graph.node)
    inside, outside = nodes[start:stop], nodes[:start] + nodes[stop:]
    made = [name for n in inside for name in n.output]
    read = list(dict.fromkeys(name for n in inside for name in n.input if name not in made))
    wanted = {name for n in outside for name in n.input} | {value.name for value in changed.graph.output}
    results = [name for name in made if name in wanted]
    opsets = list(changed.opset_import)
    changed.functions.append(helper.make_function("mine", "Part", read, results, inside, opsets))
    changed.opset_import.append(helper.make_opsetid("mine", 1))
    del changed.graph.node[:]
    changed.graph.node.extend([*nodes[:start], node("Part", read, results, domain="mine"), *nodes[stop:]])
    return changed


@settings(deadline=None, max_examples=30)
@given(networks, st.data())
def test_functions_change_nothing_called_or_inlined(layers: list[Layer], data: st.DataObject) -> None:
    model = built(layers)
    start = data.draw(st.integers(0, len(model.graph.node) - 1))
    stop = data.draw(st.integers(start + 1, len(model.graph.node)))
    expected, called = counted(model), with_function(model, start, stop)
    assert counted(called) == expected
    assert counted(inliner.inline_local_functions(called)) == expected


@settings(deadline=None, max_examples=30)
@given(networks, st.sampled_from(["Constant", "Identity", "Transpose"]))
def test_constants_computed_in_the_graph_change_nothing(layers: list[Layer], how: str) -> None:
    model = built(layers)
    expected = counted(model)
    made = []
    for tensor in list(model.graph.initializer):
        array, name = numpy_helper.to_array(tensor), tensor.name
        if how == "Constant":
            made.append(node("Constant", [], [name], value=tensor))
            model.graph.initializer.remove(tensor)
            continue
        tensor.CopyFrom(numpy_helper.from_array(array.T if how == "Transpose" else array, f"{name}.given"))
        made.append(node(how, [f"{name}.given"], [name]))
    nodes = [*made, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert counted(model) == expected


@settings(deadline=None, max_examples=20)
@given(networks, st.sampled_from([18, 20, 21]))
def test_the_opset_changes_nothing(layers: list[Layer], opset: int) -> None:
    model = built(layers)
    converted = version_converter.convert_version(model, opset)
    assert converted.opset_import[0].version == opset
    assert counted(converted) == counted(model)


@settings(deadline=None, max_examples=20)
@given(networks, st.permutations(["q", "é", "9**9", "a b", "batch-size", "d0", ""]))
def test_names_change_nothing(layers: list[Layer], parts: list[str]) -> None:
    model = built(layers)
    expected = counted(model)
    names: dict[str, str] = {}
    fresh = (f"{a}{index}" for index, a in enumerate(itertools.cycle(parts)))

    def other(name: str) -> str:
        return names.setdefault(name, next(fresh)) if name else ""

    for n in model.graph.node:
        n.name, n.input[:], n.output[:] = other(f"node {n.name}"), map(other, n.input), map(other, n.output)
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.name = other(value.name)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = parts[0] or "free"
    report = count(load(model))
    assert report.symbols == (parts[0] or "free",)
    assert figures(report.at({report.symbols[0]: 3})) == expected


@settings(deadline=None, max_examples=20)
@given(networks, st.integers(1, 13))
def test_binding_before_is_binding_after_and_a_fixed_batch(layers: list[Layer], batch: int) -> None:
    free = built(layers)
    after = count(load(free)).at(batch=batch)
    for before in (count(load(free, dims={"batch": batch})), count(load(built(layers, batch)))):
        assert figures(before) == figures(after)
        assert before.samples_per_run == after.samples_per_run == batch


@settings(deadline=None, max_examples=20)
@given(networks, st.integers(2, 13))
def test_a_batch_of_k_costs_k_times_forward_and_backward(layers: list[Layer], k: int) -> None:
    one, many = (count(load(built(layers, batch))) for batch in (1, k))
    assert many.cost == one.cost * k
    assert many.backward == one.backward * k
    settings: dict[str, Any] = {"samples": 17 * k, "epochs": 3}
    assert many.training(**settings).flops == one.training(**settings).flops


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_a_gemm_and_its_two_halves_train_alike(rows: int, inner: int, left: int, right: int, deep: bool) -> None:
    """The halves lie side by side in one graph; with `deep` a layer before them wants their inputs' gradients."""

    def network(*columns: int) -> CostReport:
        nodes = [node("MatMul", ["x", "first"], ["h"])] if deep else []
        weights: Weights = {"first": np.ones((inner, inner))}
        for index, size in enumerate(columns):
            weights |= {f"w{index}": np.ones((inner, size)), f"b{index}": np.ones(size)}
            nodes.append(node("Gemm", ["h" if deep else "x", f"w{index}", f"b{index}"], [f"y{index}"]))
        nodes.append(node("Concat", [f"y{index}" for index in range(len(columns))], ["y"], axis=1))
        graph = helper.make_graph(
            nodes,
            "halves",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, inner])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(a.astype(np.float32), n) for n, a in weights.items()],
        )
        return count(load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)))

    whole_one, halves = network(left + right), network(left, right)
    assert halves.cost == whole_one.cost
    assert halves.backward == whole_one.backward
    assert halves.trainable == whole_one.trainable
    assert whole(halves.backward.macs) == rows * inner * ((left + right) * (1 + deep) + inner * deep)


@pytest.mark.parametrize("layer", [dense, convolution, norm, attention, activation])
def test_the_layers_cost_something_so_that_equal_is_not_empty(layer: Layer) -> None:
    found = counted(built([layer]))
    assert sum(found[f"cost {kind}"] for kind in KINDS) > 0
    assert found["bound"] == "exact"
