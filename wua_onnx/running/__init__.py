"""The only door to onnxruntime: sessions, and the data that goes through them in batches.

Names load when they are first used: a worker process, which lies in this package, starts without the model's graph.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wua_onnx.running.batches import Batch, Data
    from wua_onnx.running.inputs import InputSpec, input_specs
    from wua_onnx.running.session import Session

_HOMES = {"Batch": "batches", "Data": "batches", "InputSpec": "inputs", "Session": "session", "input_specs": "inputs"}

__all__ = ["Batch", "Data", "InputSpec", "Session", "input_specs"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
