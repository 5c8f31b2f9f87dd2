"""What stands in the way of a device, told from what onnxruntime does and prints; it runs here without a GPU."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import onnxruntime
import pytest

from wua_onnx.errors import DeviceError, DeviceMemoryError, RunError
from wua_onnx.running import Session, devices
from wua_onnx.running.isolated import Child

from .test_session import SIMPLE, X

FAILED = "Failed to load libcublasLt.so.13: libcublasLt.so.13: cannot open shared object file"


class FellBack:
    """A session as onnxruntime returns it where the provider's library cannot be loaded."""

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Let onnxruntime have CUDA's provider, which libraries are missing of, and return what sessions are made with."""
    made: list[dict[str, Any]] = []

    def session(*arguments: Any, **named: Any) -> FellBack:
        made.append(named)
        return FellBack()

    def preload() -> None:
        print("Something else.")
        print(FAILED)

    found = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: found)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(onnxruntime, "preload_dlls", preload, raising=False)
    devices.unloaded.cache_clear()
    yield made
    devices.unloaded.cache_clear()


def driver(monkeypatch: pytest.MonkeyPatch, *, there: bool) -> None:
    def load(name: str) -> None:
        assert name in ("libcuda.so.1", "nvcuda.dll")
        if not there:
            raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", load)


def test_libraries_of_cuda_are_loaded_from_where_pip_puts_them_and_named_where_missing(
    calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    driver(monkeypatch, there=True)
    with pytest.raises(DeviceError) as caught:
        Session(SIMPLE, None, device="cuda")
    assert str(caught.value) == (
        "device='cuda': expected CUDAExecutionProvider, got an onnxruntime that fell back to CPU: "
        f"{FAILED}. pip install 'wua-onnx[gpu]' brings what it needs"
    )
    assert capsys.readouterr().out == ""  # results go there, nothing else


def test_a_machine_without_a_driver(calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    driver(monkeypatch, there=False)
    with pytest.raises(DeviceError, match=r"fell back to CPU: no driver of an NVIDIA GPU is installed \(.*cannot open"):
        Session(SIMPLE, None, device="cuda")


def test_numbers_are_those_of_the_model_and_no_other_device_steps_in(
    calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(monkeypatch, there=True)
    with pytest.raises(DeviceError):
        Session(SIMPLE, None, device="cuda")
    (made,) = calls
    cuda, cpu = made["providers"]
    assert (cuda[0], cuda[1]["use_tf32"], cpu) == ("CUDAExecutionProvider", "0", "CPUExecutionProvider")
    assert made["enable_fallback"] == 0


def test_a_refusal_of_the_device_is_told_without_onnxruntimes_source_lines(
    calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "/src/cuda_call.cc:154 std::conditional_t<THRW, void, Status> CudaCall(ERRTYPE) CUDA failure 100: no "
        "CUDA-capable device is detected ; GPU=-1 ; hostname=secret ; file=/src/cuda_execution_provider.cc ; line=355"
    )

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(DeviceError) as caught:
        Session(SIMPLE, None, device="cuda")
    wanted = "device='cuda': onnxruntime cannot use it: CUDA failure 100: no CUDA-capable device is detected"
    assert str(caught.value) == wanted


def test_what_a_provider_refuses_during_a_run_is_an_error_of_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """By default onnxruntime runs it again on the CPU and prints so to stdout."""
    session = Session(SIMPLE, None)
    inner = session._session

    class Refusing:
        def is_webgpu_graph_capture_enabled(self) -> bool:
            return False

        def run(self, *_: Any) -> None:
            raise onnxruntime.capi.onnxruntime_pybind11_state.EPFail("CUDA failure 2: out of memory ; GPU=0")

    inner._sess = Refusing()
    with pytest.raises(RunError, match=r"float32: CUDA failure 2: out of memory$"):
        session.run({"x": X})
    assert capsys.readouterr().out == ""


def test_a_device_with_too_little_memory() -> None:
    session = Session(SIMPLE, None)
    session._device = "cuda"

    def run(*_: Any) -> None:
        raise onnxruntime.capi.onnxruntime_pybind11_state.Fail(
            "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Status Message: Failed to allocate memory for requested "
            "buffer of size 51200000"
        )

    session._session.run = run
    with pytest.raises(
        DeviceMemoryError, match=r"^device='cuda': too little memory for x \[2, 3\] float32: Failed to allocate memory"
    ):
        session.run({"x": X})


def test_the_memory_of_a_device_is_not_that_of_the_process() -> None:
    """The worker's limit is not what was broken."""
    child = Child(memory=2**30)
    told = child._error("DeviceMemoryError", "device='cuda': Failed to allocate memory")
    assert (type(told), str(told)) == (DeviceMemoryError, "device='cuda': Failed to allocate memory")
    assert "expected at most 1.0 GiB" in str(child._error("RunError", "Failed to allocate memory"))
    child.close()
