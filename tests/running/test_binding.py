"""Inputs and outputs bound on a device: the path of a GPU, run here on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx.parser
import pytest

from wua_onnx.errors import RunError
from wua_onnx.recording import Recorder
from wua_onnx.running import Session
from wua_onnx.running.binding import Binding

from .test_session import X, proto


def session(graph: str) -> Session:
    return Session(proto(graph), None, device="cpu", bound=True)


DOUBLED = "(float[N, 3] x) => (float[N, 3] y, float[3] s) { y = Add(x, x) s = ReduceSum<keepdims = 0>(x, axis) }"


def doubled() -> Session:
    made = onnx.ModelProto.FromString(proto(DOUBLED))
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), "axis"))
    return Session(made.SerializeToString(), None, bound=True)


def test_what_was_returned_stays_as_it_is_in_later_runs() -> None:
    bound = doubled()
    first = bound.run({"x": X})
    second = bound.run({"x": X + 1})
    np.testing.assert_array_equal(first["y"], 2 * X)
    np.testing.assert_array_equal(second["y"], 2 * X + 2)
    np.testing.assert_array_equal(first["s"], X.sum(axis=0))


def test_what_was_given_stays_as_it_is() -> None:
    bound, given = doubled(), X.copy()
    bound.run({"x": given})
    bound.run({"x": X + 1})
    np.testing.assert_array_equal(given, X)


def test_a_buffer_serves_all_batches_of_a_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    made: list[Any] = []
    create = onnxruntime.OrtValue.ortvalue_from_shape_and_type

    def counted(shape: Any, *rest: Any) -> Any:
        made.append((shape, *rest))
        return create(shape, *rest)

    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", counted)
    bound = doubled()
    for rows in (2, 2, 2, 5, 5, 2):
        data = np.random.default_rng(rows).standard_normal((rows, 3)).astype(np.float32)
        np.testing.assert_array_equal(bound.run({"x": data})["y"], 2 * data)
    float32 = np.dtype(np.float32)
    assert made == [([rows, 3], float32, "cpu", 0) for rows in (2, 5, 2)]


def test_arrays_in_any_memory_order() -> None:
    given = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(4, 3))
    np.testing.assert_array_equal(doubled().run({"x": given})["y"], 2 * given)
    np.testing.assert_array_equal(doubled().run({"x": given[::-2]})["y"], 2 * given[::-2])


def test_scalars_booleans_and_empty_arrays() -> None:
    bound = session(
        "(float x, bool b, float[N] e) => (float y, bool c, float[N] f) { y = Neg(x) c = Not(b) f = Neg(e) }"
    )
    got = bound.run({"x": np.array(3, np.float32), "b": np.array(True), "e": np.zeros(0, np.float32)})
    assert (got["y"].shape, float(got["y"]), bool(got["c"]), got["f"].shape) == ((), -3.0, False, (0,))


def test_strings_stay_on_the_host() -> None:
    bound = session("(string[N] x, float[N] z) => (string[N] y, float[N] w) { y = Identity(x) w = Neg(z) }")
    for words in (["a", "bc"], ["d", "e", "f"]):
        got = bound.run({"x": np.array(words, dtype=object), "z": np.ones(len(words), np.float32)})
        assert got["y"].tolist() == words


def test_strings_come_back_from_numbers() -> None:
    bound = session("(float[N] x) => (string[N] y, float[N] z) { y = Cast<to = 8>(x) z = Neg(x) }")
    assert bound.run({"x": np.array([1, 2], np.float32)})["y"].tolist() == ["1", "2"]


def test_sequences_come_back_as_lists() -> None:
    bound = session("(float[N] x) => (seq(float[N]) y, float[N] z) { z = Neg(x) y = SequenceConstruct(x, z) }")
    for size in (3, 3, 5):
        data = np.ones(size, np.float32)
        got = bound.run({"x": data})
        assert [part.tolist() for part in got["y"]] == [data.tolist(), (-data).tolist()]
        assert got["z"].tolist() == (-data).tolist()


def test_an_input_left_out_does_not_keep_its_last_value() -> None:
    bound = session("(float[N] x, float[N] z) => (float[N] y) { y = Add(x, z) }")
    both = {"x": np.ones(3, np.float32), "z": np.ones(3, np.float32)}
    bound.run(both)
    with pytest.raises(RunError, match=r"onnxruntime cannot run the model on x \[3\] float32: "):
        bound.run({"x": both["x"]})
    np.testing.assert_array_equal(bound.run(both)["y"], np.full(3, 2))


def test_a_recording_through_bound_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every recorder's session bound, as on another device: the same statistics and outputs."""
    from wua_onnx.recording import runner

    rng = np.random.default_rng(0)
    made = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 21]> g (float[N, 5] x) => (float[N, 3] y) {'
        " a = MatMul(x, w) r = Tanh(a) y = MatMul(r, v) }"
    )
    for name, shape in (("w", (5, 7)), ("v", (7, 3))):
        array = rng.standard_normal(shape).astype(np.float32)
        made.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    data = rng.standard_normal((37, 5)).astype(np.float32)

    def recorded() -> Any:
        recorder = Recorder(made, keep_outputs=True, batch_size=8, statistics=("square", "range", "histogram"))
        recorder.update(data)
        return recorder.result()

    plain = recorded()
    monkeypatch.setattr(runner, "Session", lambda *args, **options: Session(*args, **options, bound=True))
    bound = recorded()
    np.testing.assert_array_equal(bound.outputs["y"], plain.outputs["y"])
    for name, (expected,) in plain.layers.items():
        (got,) = bound.layers[name]
        np.testing.assert_array_equal(got.mean, expected.mean)
        np.testing.assert_array_equal(got.histogram, expected.histogram)


class Bound:
    """What onnxruntime binds to, noting where outputs are to lie."""

    def __init__(self) -> None:
        self.outputs: list[tuple[str, str, int]] = []

    def bind_output(self, *where: Any) -> None:
        self.outputs.append(where)

    def clear_binding_outputs(self) -> None:
        pass

    def copy_outputs_to_cpu(self) -> list[Any]:
        return []


def test_shapes_are_not_sent_to_the_device_and_back() -> None:
    import onnxruntime

    made = onnxruntime.InferenceSession(
        proto(
            "(float[N, 3] x) => (float[N, 3] y, int64[2] s, int32[2] t) { y = Neg(x) s = Shape(x) t = Cast<to=6>(s) }"
        ),
        providers=["CPUExecutionProvider"],
    )
    bound = Bound()

    class OnDevice:
        get_outputs, io_binding = made.get_outputs, staticmethod(lambda: bound)

        def run_with_iobinding(self, *_: Any) -> None:
            pass

    Binding(onnxruntime, OnDevice(), "cuda", 1).run({}, ["y", "s", "t"], None)
    assert bound.outputs == [("y", "cuda", 1), ("s", "cpu", 0), ("t", "cuda", 1)]
