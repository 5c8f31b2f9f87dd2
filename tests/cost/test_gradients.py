"""What is trained, and where gradients flow."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from wua_onnx.cost import count, gradients
from wua_onnx.model import load

from .small import TWO_LAYERS, WEIGHTS, network, op

EIGHT_BIT = np.ones((7, 11), np.int8)


@pytest.mark.parametrize(
    ("nodes", "constants", "trained"),
    [
        (TWO_LAYERS, WEIGHTS, {"w", "b", "v"}),
        (
            [op("h = Sub(x, m)"), op("g = Div(h, s)"), op("y = MatMul(g, w)")],
            {"m": (7,), "s": (7,), "w": (7, 3)},
            {"w"},
        ),
        ([op("h = MatMul(x, w)"), op("y = Add(b, h)")], {"w": (7, 3), "b": (3,)}, {"w", "b"}),
        ([op("h = MatMul(x, w)"), op("y = Mul(h, s)")], {"w": (7, 3), "s": (1, 3)}, {"w", "s"}),
        ([op("h = MatMul(x, w)"), op("y = Mul(h, s)")], {"w": (7, 3), "s": ()}, {"w"}),
        ([op("h = MatMul(x, w)"), op("y = Add(h, mask)")], {"w": (7, 3), "mask": (5, 3)}, {"w"}),
        ([op("h = MatMul(x, w)"), op("y = PRelu(h, a)")], {"w": (7, 3), "a": (3,)}, {"w", "a"}),
        (
            [op("h = MatMul(x, w)"), op("y = BatchNormalization(h, s, b, m, v)")],
            {"w": (7, 3), **dict.fromkeys("sbmv", (3,))},
            {"w", "s", "b"},
        ),
        ([op("t = Transpose(w)"), op("y = MatMul(x, t)")], {"w": (3, 7)}, {"w"}),
        ([op("n = ReduceL2(v)"), op("d = Div(v, n)"), op("w = Mul(g, d)"), op("y = MatMul(x, w)")],
         {"v": (7, 3), "g": (3,)}, {"v", "g"}),
        ([op("w = DequantizeLinear(q, s)"), op("y = Gemm(x, w, b)")], {"q": EIGHT_BIT, "s": (11,), "b": (11,)}, {"b"}),
        ([op("i = Cast(x)", to=TensorProto.INT64), op("y = Gather(t, i)")], {"t": (13, 3)}, {"t"}),
        ([op("y = MatMul(x, w)"), op("z = MatMul(x, v)")], {"w": (7, 3), "v": (7, 3)}, {"w"}),
        ([op("h = Cast(x)", to=TensorProto.DOUBLE), op("d = MatMul(h, w)"), op("y = Cast(d)", to=1)],
         {"w": np.ones((7, 3))}, {"w"}),
        ([op("y = Relu(x)")], {}, set()),
    ],
)  # fmt: skip
def test_what_is_trained(nodes: list[onnx.NodeProto], constants: dict[str, Any], trained: set[str]) -> None:
    found = gradients.find(load(network(nodes, constants)))
    assert {value.name for value in found.trainable} == trained
    sizes = {name: c.size if isinstance(c, np.ndarray) else int(np.prod(c)) for name, c in constants.items()}
    assert count(load(network(nodes, constants))).trainable == sum(sizes[name] for name in trained)


def test_the_exporter_knows_parameters_from_buffers() -> None:
    nodes = [op("p = Add(x, e)"), op("h = MatMul(p, w)"), op("y = Mul(h, s)")]
    constants: dict[str, Any] = {"e": (5, 7), "w": (7, 3), "s": (3,)}
    kinds = {"e": "PARAMETER", "w": "PARAMETER", "s": "BUFFER"}
    found = gradients.find(load(network(nodes, constants, kinds=kinds)))
    assert {value.name for value in found.trainable} == {"e", "w"}
    assert count(load(network(nodes, constants, kinds=kinds))).backward.macs == 2 * 5 * 7 * 3  # e needs the input's


def test_recurrent_weights_are_trained_and_initial_states_are_not() -> None:
    nodes = [op("y = LSTM(x, w, r, b, , h, c)", hidden_size=3)]
    constants: dict[str, Any] = {"w": (1, 12, 7), "r": (1, 12, 3), "b": (1, 24), "h": (1, 2, 3), "c": (1, 2, 3)}
    found = gradients.find(load(network(nodes, constants, x=(5, 2, 7))))
    assert {value.name for value in found.trainable} == {"w", "r", "b"}


def test_the_input_of_the_first_layer_needs_no_gradient() -> None:
    report = count(load(network(TWO_LAYERS, WEIGHTS)))
    assert [node.backward.macs for node in report.by_node] == [5 * 7 * 11, 0, 2 * 5 * 11 * 3]
    assert [node.backward.add for node in report.by_node] == [55, 0, 0]
    assert report.backward.compare == 55


def test_no_gradient_comes_back_from_whole_numbers() -> None:
    chosen = [op("h = MatMul(x, w)"), op("y = ArgMax(h)")]
    report = count(load(network(chosen, {"w": (7, 3)}, output=TensorProto.INT64)))
    assert (report.trainable, report.backward.flops) == (0, 0)
    both = [op("h = MatMul(x, w)"), op("a = ArgMax(h)", axis=1), op("y = Gather(t, a)")]
    report = count(load(network(both, {"w": (7, 3), "t": (3, 2)})))
    assert (report.trainable, report.backward.macs) == (6, 0)


def body(nodes: list[onnx.NodeProto], inputs: list[Any], outputs: list[Any]) -> onnx.GraphProto:
    return helper.make_graph(nodes, "body", inputs, outputs)


STATE = helper.make_tensor_value_info("s", TensorProto.FLOAT, (5, 7))


def test_every_trip_of_a_loop_has_its_backward_pass() -> None:
    """Alike for all trips: that the first state needs no gradient is left out."""
    go = helper.make_tensor_value_info("go", TensorProto.BOOL, ())
    trip = helper.make_tensor_value_info("i", TensorProto.INT64, ())
    next_state = helper.make_tensor_value_info("t", TensorProto.FLOAT, (5, 7))
    inner = body([op("on = Identity(go)"), op("t = MatMul(s, w)")], [trip, go, STATE],
                 [helper.make_tensor_value_info("on", TensorProto.BOOL, ()), next_state])  # fmt: skip
    constants: dict[str, Any] = {"w": (7, 7), "n": np.array(3), "yes": np.array(True)}
    report = count(load(network([op("y = Loop(n, yes, x)", body=inner)], constants)))
    assert (report.macs, report.backward.macs) == (3 * 5 * 49, 2 * 3 * 5 * 49)
    assert report.trainable == 49
    scanned = body([op("u = MatMul(s, w)"), op("t = Identity(u)")], [STATE], [next_state])
    report = count(load(network([op("y = Scan(x)", body=scanned, num_scan_inputs=1)], {"w": (7, 7)}, x=(3, 5, 7))))
    assert (report.macs, report.backward.macs) == (3 * 5 * 49, 3 * 5 * 49)  # what is scanned needs no gradient


def test_the_dearer_branch_counts_backward_too() -> None:
    out = [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)]
    branches = {
        "then_branch": body([op("o = MatMul(x, w)")], [], out),
        "else_branch": body([op("o = MatMul(x, v)")], [], out),
    }
    nodes = [op("m = ReduceMax(x)", keepdims=0), op("c = Cast(m)", to=TensorProto.BOOL), op("y = If(c)", **branches)]
    report = count(load(network(nodes, {"w": (7, 3), "v": (7, 2)})))
    assert (report.macs, report.backward.macs, report.trainable) == (105, 105, 35)
