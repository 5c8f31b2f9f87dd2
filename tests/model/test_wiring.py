"""Values with two producers and nodes in a circle are errors at load that name them."""

from __future__ import annotations

from functools import partial

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tests.steps import steps
from wua_onnx.errors import ModelError
from wua_onnx.model import load
from wua_onnx.model.wiring import check_order

node = helper.make_node


def graph(nodes: list[onnx.NodeProto], result: str = "y", *, inputs: bool = True) -> onnx.GraphProto:
    x = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])] if inputs else []
    return helper.make_graph(nodes, "g", x, [helper.make_tensor_value_info(result, TensorProto.FLOAT, [3])])


def model(nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    proto = helper.make_model(graph(nodes), opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    proto.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0]))
    return proto


def branches(nodes: list[onnx.NodeProto], result: str) -> onnx.ModelProto:
    inner = graph(nodes, result, inputs=False)
    condition = node("Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True]))
    return model([condition, node("If", ["c"], ["y"], name="choice", then_branch=inner, else_branch=inner)])


def called(nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    proto = model([node("Twice", ["x"], ["y"], domain="local")])
    opsets = [helper.make_opsetid("", 21)]
    proto.functions.append(helper.make_function("local", "Twice", ["a"], ["b"], nodes, opsets))
    proto.opset_import.append(helper.make_opsetid("local", 1))
    return proto


TWO = "expected one producer of value"
TWICE: dict[str, tuple[onnx.ModelProto, str]] = {
    "two nodes": (
        model([node("Relu", ["x"], ["y"], name="one"), node("Abs", ["x"], ["y"], name="two")]),
        f"graph 'g': {TWO} 'y', got two: Relu (node 'one') and Abs (node 'two')",
    ),
    "one node, two outputs": (
        model([node("Split", ["x"], ["y", "y"], name="one", num_outputs=2)]),
        f"graph 'g': {TWO} 'y', got two: Split (node 'one') and Split (node 'one')",
    ),
    "an input": (
        model([node("Relu", ["w"], ["x"]), node("Abs", ["x"], ["y"])]),
        f"graph 'g': {TWO} 'x', got two: an input or initializer and Relu (node 'x')",
    ),
    "an initializer": (
        model([node("Relu", ["x"], ["w"]), node("Abs", ["w"], ["y"])]),
        f"graph 'g': {TWO} 'w', got two: an input or initializer and Relu (node 'w')",
    ),
    "inside a branch": (
        branches([node("Relu", ["x"], ["z"]), node("Abs", ["x"], ["z"])], "z"),
        f"graph 'g': {TWO} 'z', got two: Relu (node 'z') and Abs (node 'z')",
    ),
    "inside a function": (
        called([node("Relu", ["a"], ["b"]), node("Abs", ["a"], ["b"])]),
        f"function 'Twice': {TWO} 'b', got two: Relu (node 'b') and Abs (node 'b')",
    ),
}


@pytest.mark.parametrize("case", TWICE)
def test_two_producers_of_one_value(case: str) -> None:
    proto, message = TWICE[case]
    with pytest.raises(onnx.checker.ValidationError):  # onnx agrees that it is malformed
        onnx.checker.check_model(proto)
    with pytest.raises(ModelError) as raised:
        load(proto)
    assert str(raised.value) == message


OWN = "expected inputs that do not depend on its own result, got a circle:"
CIRCLES: dict[str, tuple[onnx.ModelProto, str]] = {
    "two nodes": (
        model([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Abs", ["b"], ["y"])]),
        f"Add (node 'a'): {OWN} Add (node 'a') → Relu (node 'b') → Add (node 'a')",
    ),
    "one node": (
        model([node("Add", ["x", "a"], ["a"], name="sum"), node("Abs", ["a"], ["y"])]),
        f"Add (node 'sum'): {OWN} Add (node 'sum') → Add (node 'sum')",
    ),
    "many nodes": (
        model([node("Add", ["x", "v8"], ["v0"]), *(node("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(8)),
               node("Abs", ["x"], ["y"])]),
        f"Add (node 'v0'): {OWN} Add (node 'v0') → " + " → ".join(f"Relu (node 'v{i}')" for i in range(1, 6))
        + " → 3 more → Add (node 'v0')",
    ),
    "inside a branch": (
        branches([node("Add", ["x", "q"], ["p"]), node("Abs", ["p"], ["q"])], "q"),
        f"Add (node 'p'): {OWN} Add (node 'p') → Abs (node 'q') → Add (node 'p')",
    ),
    "inside a function": (
        called([node("Add", ["a", "q"], ["p"], name="first"), node("Abs", ["p"], ["q"], name="second"),
                node("Relu", ["a"], ["b"])]),
        f"Add (node 'first'): {OWN} Add (node 'first') → Abs (node 'second') → Add (node 'first')",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CIRCLES)
def test_nodes_in_a_circle(case: str) -> None:
    proto, message = CIRCLES[case]
    with pytest.raises(onnx.checker.ValidationError):
        onnx.checker.check_model(proto)
    with pytest.raises(ModelError) as raised:
        load(proto)
    assert str(raised.value) == message


def test_a_circle_in_a_model_that_is_an_object() -> None:
    loaded = ir.from_proto(CIRCLES["two nodes"][0])
    with pytest.raises(ModelError, match="got a circle"):
        load(loaded)


def test_a_branch_that_reads_what_depends_on_its_own_result() -> None:
    proto = branches([node("Abs", ["later"], ["z"], name="inner")], "z")
    proto.graph.node.append(node("Relu", ["y"], ["later"], name="after"))
    with pytest.raises(ModelError, match="got a circle") as raised:
        load(proto)
    assert all(name in str(raised.value) for name in ("'choice'", "'inner'", "'after'"))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_order_without_a_circle_is_accepted_and_any_edge_back_is_not(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 9))
    operands = [["x", *(f"v{i}" for i in range(number) if data.draw(st.booleans()))] for number in range(size)]
    nodes = [node("Sum", operands[number], [f"v{number}"]) for number in range(size)]
    order = data.draw(st.permutations(range(size)))
    shuffled = [nodes[number] for number in order]
    last = node("Identity", [f"v{size - 1}"], ["y"])
    load(model([*shuffled, last]))
    reached = {size - 1}  # what the last one depends on
    for number in reversed(range(size)):
        if number in reached:
            reached.update(int(name[1:]) for name in operands[number] if name != "x")
    back = data.draw(st.sampled_from(sorted(reached)))
    nodes[back].input.append(f"v{size - 1}")
    with pytest.raises(ModelError, match="got a circle"):
        load(model([*shuffled, last]))


def reversed_ladder(length: int) -> ir.Model:
    """Return a chain in reverse order, each node of which reads the one before twice: 2**length paths."""
    value = start = ir.Value(name="x")
    nodes: list[ir.Node] = []
    for _ in range(length):
        nodes.append(ir.Node("", "Add", [value, value]))
        value = nodes[-1].outputs[0]
    return ir.Model(ir.Graph([start], [value], nodes=nodes[::-1], opset_imports={"": 21}), ir_version=10)


def test_many_nodes_take_linear_time() -> None:
    few, many = (steps(partial(check_order, reversed_ladder(length))) for length in (5_000, 20_000))
    assert many < 5 * few
