"""Sessions of onnxruntime, here and in a child process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

from wua_onnx.errors import DeviceError, RunError
from wua_onnx.running import Session
from wua_onnx.running.checker import verdict
from wua_onnx.running.isolated import Child, IsolatedSession, isolated_verdict
from wua_onnx.running.messages import Message


def proto(graph: str, *, opset: int = 21, also: str = "") -> bytes:
    text = f'<ir_version: 10, opset_import: ["": {opset}{also}]> g {graph}'
    return bytes(onnx.parser.parse_model(text).SerializeToString())


SIMPLE = proto("(float[N, 3] x) => (float[] y, float[] z) { y = Relu(x) z = Neg(y) }")
COMPLETE = proto("(float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }")
ENDLESS = proto(
    """(float[1] x, bool go) => (float[] y) {
        y = Loop(, go, x) <body = b (int64 i, bool c, float[1] v) => (bool d, float[1] w) {
            d = Identity(c) w = Neg(v) }>
    }"""
)
X = np.arange(-3, 3, dtype=np.float32).reshape(2, 3)
Kind = Callable[..., Session | IsolatedSession]


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """One worker for every test that does not end it."""
    worker = Child()
    yield worker
    worker.close()


@pytest.fixture(params=["here", "bound", "in a child"])
def kind(request: pytest.FixtureRequest, child: Child) -> Kind:
    if request.param == "in a child":
        return partial(IsolatedSession, child=child)
    return partial(Session, bound=True) if request.param == "bound" else Session


def test_outputs_by_name(kind: Kind) -> None:
    session = kind(SIMPLE, None)
    assert session.outputs == ("y", "z")
    assert session.run({"x": X}, []) == {}
    np.testing.assert_array_equal(session.run({"x": X}, ["z"])["z"], -np.maximum(X, 0))
    assert list(session.run({"x": X})) == ["y", "z"]


def test_a_model_that_cannot_be_loaded(kind: Kind) -> None:
    unknown = proto("(float[N] x) => (float[] y) { y = acme.Foo(x) }", also=', "acme": 1')
    with pytest.raises(RunError, match=r"onnxruntime cannot load the model: .*acme.*Foo"):
        kind(unknown, None)
    with pytest.raises(RunError, match="onnxruntime cannot load the model"):
        kind(b"no model at all", None)


def test_a_run_that_fails_says_on_what(kind: Kind) -> None:
    session = kind(proto("(float[N, 3] x, int64[M] i) => (float[] y) { y = Gather(x, i) }"), None)
    with pytest.raises(
        RunError, match=r"onnxruntime cannot run the model on x \[2, 3\] float32, i \[1\] int64: .*out of.*bounds"
    ):
        session.run({"x": X, "i": np.array([7])})
    assert session.run({"x": X, "i": np.array([1])})["y"].shape == (1, 3)  # and the session goes on
    with pytest.raises(RunError, match="cannot run the model on x"):
        session.run({"x": X})


def test_weights_beside_the_model(kind: Kind, tmp_path: Path) -> None:
    made = onnx.ModelProto.FromString(proto("(float[N, 3] x) => (float[] y) { y = Mul(x, w) }"))
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 3, 5], np.float32), "w"))
    onnx.save(made, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    data = (tmp_path / "m.onnx").read_bytes()
    np.testing.assert_array_equal(kind(data, tmp_path).run({"x": X})["y"], X * [2, 3, 5])


def test_devices(kind: Kind) -> None:
    import onnxruntime

    with pytest.raises(DeviceError, match="device: expected one of cpu, cuda, got 'npu'"):
        kind(SIMPLE, None, device="npu")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        assert kind(SIMPLE, None, device="cuda").run({"x": X}).keys() == {"y", "z"}
    else:
        with pytest.raises(
            DeviceError,
            match=r"expected CUDAExecutionProvider, got .*CPUExecutionProvider only.*pip install 'wua-onnx\[gpu\]'",
        ):
            kind(SIMPLE, None, device="cuda")


@pytest.mark.parametrize(
    "array",
    [
        X,
        X.astype(np.float16),
        X.astype(np.float64),
        X > 0,
        X.astype(np.int8),
        np.float32(3),
        np.zeros((0, 3), np.float32),
        X.T,
    ],
    ids=str,
)
def test_both_sessions_return_the_same(array: Any, child: Child) -> None:
    array = np.asarray(array)
    made = onnx.ModelProto.FromString(proto("(float[] x) => (float[] y) { y = Identity(x) }"))
    for info in (*made.graph.input, *made.graph.output):
        info.type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        info.type.tensor_type.ClearField("shape")
    model = made.SerializeToString()
    here = Session(model, None).run({"x": array})["y"]
    there = IsolatedSession(model, None, child=child).run({"x": array})["y"]
    np.testing.assert_array_equal(here, there)
    assert (here.dtype, here.shape) == (there.dtype, there.shape) == (array.dtype, array.shape)


def test_a_worker_that_is_killed() -> None:
    session = IsolatedSession(SIMPLE, None)
    session._child._process.send_signal(signal.SIGKILL)
    session._child._process.wait()
    with pytest.raises(RunError, match=r"expected an answer, got a worker that was killed by SIGKILL"):
        session.run({"x": X})


def test_a_worker_that_is_killed_at_work() -> None:
    session = IsolatedSession(ENDLESS, None)
    threading.Timer(0.3, session._child._process.send_signal, [signal.SIGSEGV]).start()
    with pytest.raises(RunError, match=r"got a worker that was killed by SIGSEGV"):
        session.run({"x": np.ones(1, np.float32), "go": np.array(True)})


def test_a_worker_that_takes_too_long() -> None:
    session = IsolatedSession(ENDLESS, None)
    session._child.limit = 0.3
    with pytest.raises(RunError, match=r"expected an answer within 0\.3 s, got none"):
        session.run({"x": np.ones(1, np.float32), "go": np.array(True)})
    assert session._child._process.poll() is not None  # it does not go on alone


def test_a_worker_that_answers_nonsense() -> None:
    child = Child(limit=5)
    stand_in = "import sys; sys.stdout.buffer.write(b'nonsense' * 99); sys.stdout.flush(); sys.stdin.read()"
    child.close()
    child._process = subprocess.Popen([sys.executable, "-c", stand_in], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with pytest.raises(RunError, match="got a worker that wrote something else"):
        child.ask(Message({"do": "check"}))
    assert child._process.poll() is not None


def test_a_worker_ends_with_its_session() -> None:
    session = IsolatedSession(SIMPLE, None)
    pid = session._child._process.pid
    del session
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("kind_of_output", ["seq(float[])", "string[]"])
def test_what_cannot_be_sent_back_is_an_error_and_no_crash(kind_of_output: str, child: Child) -> None:
    made = "SequenceConstruct(x, x)" if kind_of_output.startswith("seq") else "Cast<to = 8>(x)"
    model = proto(f"(float[N] x) => ({kind_of_output} t, float[] y) {{ t = {made} y = Relu(x) }}")
    session = IsolatedSession(model, None, child=child)
    with pytest.raises(RunError, match="array 't': expected numbers, got"):
        session.run({"x": X[0]})
    assert session.run({"x": X[0]}, ["y"])["y"].shape == (3,)


@pytest.mark.parametrize("check", [verdict, isolated_verdict])
def test_the_checker(check: Any) -> None:
    assert check(COMPLETE) is None
    assert "Bogus" in (check(proto("(float[N] x) => (float[N] y) { y = Bogus(x) }")) or "")
    made = onnx.ModelProto.FromString(proto("(float[3] x) => (float[3] y) { y = Mul(x, w) }"))
    weight = made.graph.initializer.add(name="w", dims=[3], data_type=1, data_location=onnx.TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="absent.bin")
    assert check(made.SerializeToString()) is None  # weights beside the model are not looked at


def test_a_checker_that_crashes_is_a_verdict_too() -> None:
    assert isolated_verdict(b"\xff\xff no model") is not None
