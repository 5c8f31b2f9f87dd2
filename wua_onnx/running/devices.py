"""The devices that onnxruntime computes on, and what stands in the way where it cannot."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import sys
import warnings
from typing import Any, TypeAlias

from wua_onnx.errors import DeviceError, MissingDependency

Provider: TypeAlias = str | tuple[str, dict[str, str]]

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html: TensorFloat-32 keeps 10 bits of a
# mantissa, and the numbers of an audit are those of the model; few batches do not repay an exhaustive search.
_OPTIONS = {"cuda": {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}}
_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def onnxruntime() -> Any:
    """Return the module onnxruntime.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import onnxruntime as runtime
    except ImportError as error:
        raise MissingDependency("onnxruntime", "cpu", "running a model") from error
    return runtime


def providers(device: str) -> list[Provider]:
    """Return onnxruntime's execution providers for `device`, "cpu" or "cuda", each alone or with its options.

    Raises:
        DeviceError: `device` is unknown, or this installation of onnxruntime cannot use it.
    """
    if device not in _PROVIDERS:
        raise DeviceError(f"device: expected one of {', '.join(_PROVIDERS)}, got {device!r}")
    if device == "cpu":
        return [_PROVIDERS["cpu"]]
    available = onnxruntime().get_available_providers()
    if _PROVIDERS[device] not in available:
        raise DeviceError(
            f"device={device!r}: expected {_PROVIDERS[device]}, got an onnxruntime with {', '.join(available)} only. "
            "It needs an NVIDIA GPU and: pip uninstall onnxruntime && pip install 'wua-onnx[gpu]'"
        )
    unloaded()
    return [(_PROVIDERS[device], dict(_OPTIONS[device])), _PROVIDERS["cpu"]]


def check_computes(session: Any, device: str) -> None:
    """Check that `session` computes on `device`.

    Raises:
        DeviceError: onnxruntime fell back to the CPU, which it does with no more than a line in its log.
    """
    if _PROVIDERS[device] not in session.get_providers():
        raise DeviceError(
            f"device={device!r}: expected {_PROVIDERS[device]}, got an onnxruntime that fell back to CPU{_reason()}"
        )


def _reason() -> str:
    try:
        ctypes.CDLL(_DRIVER)
    except OSError as error:
        return f": no driver of an NVIDIA GPU is installed ({error})"
    missing = unloaded()
    return f": {'; '.join(missing)}. pip install 'wua-onnx[gpu]' brings what it needs" if missing else ""


@functools.cache
def unloaded() -> tuple[str, ...]:
    """Load CUDA and cuDNN from where pip puts them, once, and return a line for each library that cannot be loaded.

    onnxruntime's provider looks for them where the system does, which is elsewhere.
    """
    preload = getattr(onnxruntime(), "preload_dlls", None)
    if preload is None:
        return ()
    told = io.StringIO()
    with contextlib.redirect_stdout(told), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        preload()
    return tuple(line for line in told.getvalue().splitlines() if line.startswith("Failed to load"))
