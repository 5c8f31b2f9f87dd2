"""Shapes of what a loop carries, where its body does not declare them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.model import Model, load

F, B, INT = TensorProto.FLOAT, TensorProto.BOOL, TensorProto.INT64


def value(name: str, dtype: int = F, shape: Any = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def loop(
    *steps: onnx.NodeProto,
    shape: Any,
    declared: Any = None,
    returned: Any = None,
    inner: tuple[onnx.ValueInfoProto, ...] = (),
    condition: bool = True,
) -> Model:
    """A Loop of 7 trips that carries h through `steps` (to h_out), and stacks it up; then a Relu of each result.

    Its body declares h as `declared` and h_out as `returned`, and what else is in `inner`.
    """
    body = helper.make_graph(
        [*steps, helper.make_node("Identity", ["c"], ["c_out"]), helper.make_node("Relu", ["h_out"], ["stacked"])],
        "body",
        [value("i", INT, []), value("c", B, []), value("h", shape=declared)],
        [value("c_out", B), value("h_out", shape=returned), value("stacked")],
        value_info=inner,
    )
    nodes = [
        helper.make_node("Loop", ["trips", "go" if condition else "", "x"], ["y", "ys"], body=body),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("Relu", ["ys"], ["zs"]),
    ]
    weights = {"w": np.ones((5, 5), np.float32), "trips": np.array(7), "go": np.array(True), "axes": np.array([0])}
    graph = helper.make_graph(
        nodes,
        "loops",
        [value("x", shape=shape)],
        [value("z"), value("zs")],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))


def shapes(model: Model) -> tuple[Any, Any, Any]:
    """Return the shapes of h in the body, of y and of ys, in the names that are shown."""
    body = model.nodes[0].graphs()["body"]
    values = (body.inputs[2], *model.nodes[0].node.outputs)
    found = [model.shape(value) for value in values]
    texts = [None if shape is None else [model.text(dim) for dim in shape] for shape in found]
    return texts[0], texts[1], texts[2]


MATMUL = helper.make_node("MatMul", ["h", "w"], ["h_out"])
GROW = helper.make_node("Concat", ["h", "w"], ["h_out"], axis=0)
DEEPER = helper.make_node("Unsqueeze", ["h", "axes"], ["h_out"])


RELU = helper.make_node("Relu", ["h"], ["r"])
AFTER_RELU = helper.make_node("MatMul", ["r", "w"], ["h_out"])


@pytest.mark.parametrize("condition", [True, False])
def test_a_carried_value_that_keeps_its_shape(condition: bool) -> None:
    model = loop(MATMUL, shape=["n", 5], condition=condition)
    assert model.problems == ()
    assert shapes(model) == (["n", "5"], ["n", "5"], ["7", "n", "5"])


def test_an_axis_that_grows_cannot_be_told() -> None:
    """Not the 3 rows that it has before the first trip."""
    inside, after, stacked = shapes(loop(GROW, shape=[3, 5]))
    assert inside[1] == after[1] == stacked[2] == "5"
    assert inside[0].startswith("_d")
    assert after[0] == f"{inside[0]} + 5"


def test_a_rank_that_grows_leaves_no_shape() -> None:
    model = loop(DEEPER, shape=[3, 5])
    assert shapes(model) == (None, None, None)
    relu = list(model.nodes[0].graphs()["body"])[2]
    assert model.shape(relu.outputs[0]) is None
    assert [model.shape(node.node.outputs[0]) for node in model.nodes[1:]] == [None, None]


NAMES: dict[str, dict[str, Any]] = {
    "one name": {"declared": ["m", 5], "returned": ["m", 5]},
    "a name each, as tf2onnx writes them": {"declared": ["unk__1", 5], "returned": ["unk__2", 5]},
    "inside too": {"steps": [RELU, AFTER_RELU], "declared": ["m", 5], "inner": (value("r", shape=["k", 5]),)},
    "every axis": {"declared": ["m", "k"], "returned": ["l", "j"]},
}


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("size", [3, "n"])
def test_names_that_only_the_body_uses_give_way_to_a_shape_that_stays(names: str, size: Any) -> None:
    arguments = {"steps": [MATMUL], **NAMES[names]}
    model = loop(*arguments.pop("steps"), shape=[size, 5], **arguments)
    assert shapes(model) == ([str(size), "5"], [str(size), "5"], ["7", str(size), "5"])


def test_a_name_of_the_body_stays_where_the_axis_grows() -> None:
    inside, after, stacked = shapes(loop(GROW, shape=[3, 5], declared=["m", 5], returned=["k", 5]))
    assert inside == ["m", "5"]
    assert after == ["m + 5", "5"]
    assert stacked == ["7", "m + 5", "5"]


def test_a_name_of_the_body_stays_where_nothing_tells_the_size() -> None:
    """How many rows are not zero is in no shape."""
    found = helper.make_node("NonZero", ["h"], ["found"])
    inner = (value("found", INT, [2, "hits"]),)
    model = loop(MATMUL, found, shape=["n", 5], declared=["m", 5], inner=inner)
    node = list(model.nodes[0].graphs()["body"])[1]
    shape = model.shape(node.outputs[0])
    assert shape is not None
    assert [model.text(dim) for dim in shape] == ["2", "hits"]
    assert shapes(model)[0] == ["n", "5"]


def test_a_declared_shape_stays_where_the_rank_grows_or_the_body_says_nothing() -> None:
    unknown = helper.make_node("Odd", ["h"], ["h_out"], domain="com.acme")
    assert shapes(loop(unknown, shape=[3, 5], declared=["m", 5], returned=["m", 5]))[0] == ["m", "5"]
    assert shapes(loop(DEEPER, shape=[3, 5], declared=["m", 5])) == (None, None, None)


def test_a_name_of_the_inputs_stays() -> None:
    assert shapes(loop(MATMUL, shape=["n", 5], declared=["n", 5]))[0] == ["n", "5"]


def exchanging(names: tuple[Any, Any], sizes: tuple[Any, Any]) -> Model:
    """A Loop whose two states, of `sizes` rows, change places on every trip."""
    body = helper.make_graph(
        [helper.make_node("Identity", [a], [b]) for a, b in (("c", "c_out"), ("p", "q_out"), ("q", "p_out"))],
        "body",
        [value("i", INT, []), value("c", B, []), value("p", shape=names[0]), value("q", shape=names[1])],
        [value("c_out", B), value("p_out"), value("q_out")],
    )
    node = helper.make_node("Loop", ["trips", "", "x", "z"], ["y", "w"], body=body)
    inputs = [value("trips", INT, []), *(value(n, shape=[size, 5]) for n, size in zip("xz", sizes, strict=True))]
    graph = helper.make_graph([node], "exchanging", inputs, [value("y"), value("w")])
    return load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))


@pytest.mark.parametrize("names", [(None, None), (["m", 5], ["k", 5])])
def test_states_that_change_places_have_no_size_but_where_both_are_alike(names: tuple[Any, Any]) -> None:
    """After an odd number of trips y has the rows of z."""
    for sizes in ((3, 7), ("n", 7), ("n", "t")):
        model = exchanging(names, sizes)
        rows = [model.shape(output) for output in model.nodes[0].node.outputs]
        assert {model.text(shape[0]) for shape in rows if shape}.isdisjoint({"3", "7", "n", "t"})
    alike = exchanging(names, ("n", "n"))
    assert [alike.text(alike.shape(out)[0]) for out in alike.nodes[0].node.outputs] == ["n", "n"]  # type: ignore[index] # its shape is known


@pytest.mark.parametrize("states", [2, 3, 5, 11])
def test_states_that_hand_their_shape_on_have_no_size_however_many(states: int) -> None:
    """The first one grows, the second has the size that the first had on the trip before, and so on."""
    names = [f"s{index}" for index in range(states)]
    steps = [helper.make_node("Concat", ["s0", "x"], ["s0_out"], axis=0)]
    steps += [helper.make_node("Identity", [a], [f"{b}_out"]) for a, b in itertools.pairwise(names)]
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c_out"]), *steps],
        "body",
        [value("i", INT, []), value("c", B, []), *map(value, names)],
        [value("c_out", B), *(value(f"{name}_out") for name in names)],
    )
    outputs = [f"y{index}" for index in range(states)]
    node = helper.make_node("Loop", ["trips", "", *["x"] * states], outputs, body=body)
    inputs = [value("trips", INT, []), value("x", shape=[3, 5])]
    graph = helper.make_graph([node], "chain", inputs, [value(name) for name in outputs])
    model = load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))
    sizes = [model.shape(inner) for inner in model.nodes[0].graphs()["body"].inputs[2:]]
    assert len(sizes) == states
    assert not any(size is None or isinstance(size[0], int) for size in sizes)


def test_a_loop_in_a_loop_that_grows_its_state_leaves_neither_a_size() -> None:
    step = helper.make_node("Loop", ["trips", "", "h"], ["h_out"], body=growing_body())
    inside, after, _ = shapes(loop(step, shape=[3, 5], declared=["m", 5]))
    assert inside == ["m", "5"]
    assert after[0] != "3"


def growing_body() -> onnx.GraphProto:
    nodes = [
        helper.make_node("Identity", ["c2"], ["c2_out"]),
        helper.make_node("Concat", ["g", "w"], ["g_out"], axis=0),
    ]
    inputs = [value("j", INT, []), value("c2", B, []), value("g")]
    return helper.make_graph(nodes, "inner", inputs, [value("c2_out", B), value("g_out")])


@pytest.mark.parametrize("declared", [None, ["m", 5]])
def test_the_state_of_a_scan(declared: Any) -> None:
    body = helper.make_graph(
        [helper.make_node("Add", ["h", "s"], ["h_out"]), helper.make_node("Relu", ["s"], ["r"])],
        "body",
        [value("h", shape=declared), value("s", shape=["k", 5])],
        [value("h_out", shape=declared), value("r")],
    )
    node = helper.make_node("Scan", ["x", "xs"], ["y", "ys"], num_scan_inputs=1, body=body)
    inputs = [value("x", shape=["n", 5]), value("xs", shape=["t", "n", 5])]
    graph = helper.make_graph([node], "scan", inputs, [value("y"), value("ys")])
    model = load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))
    found = [model.shape(out) for out in (body_input(model), *model.nodes[0].node.outputs)]
    assert [[model.text(dim) for dim in shape or ()] for shape in found] == [["n", "5"], ["n", "5"], ["t", "n", "5"]]


def body_input(model: Model) -> Any:
    return model.nodes[0].graphs()["body"].inputs[0]
