"""The exceptions of wua_onnx.

::

    WuaError
    ├── ModelError             the model file or object is bad, or cannot be read
    │   ├── NotOnnxError       the bytes are something else (and what they are, where recognisable)
    │   ├── ExternalDataError  weights kept beside the model are missing or out of bounds
    │   ├── ShapeError         shapes of the model contradict each other
    │   └── LimitError         the model exceeds a safety limit
    ├── DataError              X or y does not fit the model
    ├── ConversionError        a framework's model could not be turned into ONNX
    ├── MissingDependency      an optional package is needed; the message holds the install line
    ├── DeviceError            the requested device is not there
    ├── BudgetError            a budget does not parse, or there is none of that name
    ├── RunError               onnxruntime could not load or run the model
    └── OutputError            a result could not be written

Messages have three parts: where, expected, got. Exit codes of the command line stand in `wua_onnx.cli`.
"""

from __future__ import annotations


class WuaError(Exception):
    """Base class of every error raised on purpose by wua_onnx."""


class ModelError(WuaError):
    """The model file or object is bad, or cannot be read."""


class NotOnnxError(ModelError):
    """The bytes are not an ONNX model."""


class ExternalDataError(ModelError):
    """Weights kept beside the model are missing, out of bounds or outside its folder."""


class ShapeError(ModelError):
    """Shapes of the model contradict each other, or the dimensions given contradict them."""


class LimitError(ModelError):
    """The model exceeds a safety limit."""


class DataError(WuaError):
    """X or y does not fit the model."""


class ConversionError(WuaError):
    """A framework's model could not be turned into ONNX."""


class MissingDependency(WuaError):  # noqa: N818 - reads as what it says
    """An optional package is needed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed: pip install 'wua-onnx[{extra}]'")
        self.package, self.extra = package, extra


class DeviceError(WuaError):
    """The requested device is not there."""


class BudgetError(WuaError):
    """A budget does not parse, or there is none of that name."""


class RunError(WuaError):
    """onnxruntime could not load or run the model."""


class DeviceMemoryError(RunError):
    """A device other than the CPU has too little memory for the run."""


class OutputError(WuaError):
    """A result could not be written."""
