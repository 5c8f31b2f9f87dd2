"""How far the outputs of two models lie apart, against NumPy on both outputs as wholes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.comparison import compare_outputs
from wua_onnx.model import load

SAMPLES, WIDTH, CLASSES = 23, 5, 3
RNG = np.random.default_rng(17)
X = RNG.standard_normal((SAMPLES, WIDTH)).astype(np.float32)
W = [RNG.standard_normal((WIDTH, CLASSES)).astype(np.float32) for _ in range(2)]


def matmul(weight: Any, *, batch: Any = "N", output: str = "y", name: str = "x", extra: bool = False) -> Any:
    """y = x W; with `extra` a second output t = tanh(y)."""
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("MatMul", [name, "w"], [output], name="m")]
    outputs = [value(output, TensorProto.FLOAT, [batch, weight.shape[1]])]
    if extra:
        nodes.append(helper.make_node("Tanh", [output], ["t"], name="t"))
        outputs.append(value("t", TensorProto.FLOAT, [batch, weight.shape[1]]))
    graph = helper.make_graph(
        nodes, "g", [value(name, TensorProto.FLOAT, [batch, WIDTH])], outputs, [numpy_helper.from_array(weight, "w")]
    )
    return load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))


def expected(one: Any, two: Any) -> dict[str, Any]:
    apart = two.astype(np.float64) - one.astype(np.float64)
    return {
        "elements": apart.size,
        "largest": np.abs(apart).max(),
        "mean": np.abs(apart).mean(),
        "rms": np.sqrt(np.mean(apart**2)),
        "relative": np.linalg.norm(apart) / np.linalg.norm(one),
        "agreement": np.mean(one.argmax(1) == two.argmax(1)),
    }


def check(found: Any, one: Any, two: Any) -> None:
    for name, value in expected(one, two).items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-5), name


@pytest.mark.parametrize("size", [None, 1, 7, 64])
@pytest.mark.parametrize("batches", [("N", "N"), (4, "N"), ("N", 4), (4, 6)])
def test_the_differences_are_those_of_the_whole_outputs(batches: tuple[Any, Any], size: int | None) -> None:
    one, two = (matmul(weight, batch=batch, extra=True) for weight, batch in zip(W, batches, strict=True))
    found = compare_outputs(one, two, X, batch_size=size)
    assert (found.samples, found.error) == (SAMPLES, None)
    assert [one.name for one in found.each] == ["y", "t"]
    check(found.each[0], X @ W[0], X @ W[1])
    check(found.each[1], np.tanh(X @ W[0]), np.tanh(X @ W[1]))


def test_a_model_does_not_differ_from_itself() -> None:
    [found] = compare_outputs(matmul(W[0]), matmul(W[0]), X).each
    assert (found.largest, found.mean, found.rms, found.relative, found.agreement) == (0, 0, 0, 0, 1)


def test_data_that_can_be_read_once_is_read_once() -> None:
    found = compare_outputs(matmul(W[0]), matmul(W[1]), iter([X[:11], X[11:]]))
    check(found.each[0], X @ W[0], X @ W[1])


def test_inputs_and_outputs_of_other_names_are_matched_by_place() -> None:
    found = compare_outputs(matmul(W[0]), matmul(W[1], output="logits", name="pixels"), {"x": X})
    [one] = found.each
    assert (one.name, one.after_name) == ("y", "logits")
    check(one, X @ W[0], X @ W[1])


def test_what_is_not_finite_is_counted_and_in_no_mean() -> None:
    weight = W[1].copy()
    weight[:, 1] = np.inf
    [one] = compare_outputs(matmul(W[0]), matmul(weight), X).each
    assert one.non_finite == SAMPLES
    kept = [0, 2]
    assert one.mean == pytest.approx(np.abs(X @ W[1] - X @ W[0])[:, kept].mean(), rel=1e-5)
    [same] = compare_outputs(matmul(weight), matmul(weight), X).each
    assert same.non_finite == 0


def test_outputs_of_other_shapes_say_so() -> None:
    wider = RNG.standard_normal((WIDTH, 7)).astype(np.float32)
    found = compare_outputs(matmul(W[0]), matmul(wider), X)
    [one] = found.each
    assert one.error == f"shapes [{SAMPLES}, 3] against [{SAMPLES}, 7]"
    assert one.largest is None


def two_inputs() -> Any:
    value = helper.make_tensor_value_info
    node = helper.make_node("Add", ["x", "b"], ["y"])
    inputs = [value(name, TensorProto.FLOAT, ["N", WIDTH]) for name in ("x", "b")]
    graph = helper.make_graph([node], "g", inputs, [value("y", TensorProto.FLOAT, ["N", WIDTH])])
    return load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))


def unknown() -> Any:
    value = helper.make_tensor_value_info
    node = helper.make_node("Odd", ["x"], ["y"], domain="com.acme")
    inputs, outputs = ([value(name, TensorProto.FLOAT, ["N", WIDTH])] for name in ("x", "y"))
    graph = helper.make_graph([node], "g", inputs, outputs)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.acme", 1)]
    return load(helper.make_model(graph, opset_imports=opsets, ir_version=10))


@pytest.mark.parametrize(
    ("after", "says"), [(two_inputs, "expected as many inputs after as before, 1, got 2"), (unknown, "com.acme")]
)
def test_what_cannot_run_says_why(after: Any, says: str) -> None:
    found = compare_outputs(matmul(W[0]), after(), X)
    assert (found.samples, found.each) == (0, ())
    assert found.error is not None
    assert says in found.error


def test_what_fails_half_way_keeps_what_was_compared() -> None:
    def batches() -> Any:
        yield X[:7]
        raise OSError("gone")

    found = compare_outputs(matmul(W[0]), matmul(W[1]), batches(), batch_size=7)
    assert found.samples == 7
    assert found.error is not None
    assert "gone" in found.error
    check(found.each[0], X[:7] @ W[0], X[:7] @ W[1])


def test_words_are_no_numbers() -> None:
    value = helper.make_tensor_value_info
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.STRING)
    graph = helper.make_graph(
        [node], "g", [value("x", TensorProto.FLOAT, ["N", WIDTH])], [value("y", TensorProto.STRING, ["N", WIDTH])]
    )
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    [one] = compare_outputs(load(model), load(model), X).each
    assert one.error == "one of them is no array of numbers"
