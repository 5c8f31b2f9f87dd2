"""The only door to onnxruntime: sessions, and the data that goes through them in batches."""

from wua_onnx.running.batches import Batch, Data
from wua_onnx.running.inputs import InputSpec, input_specs
from wua_onnx.running.session import Session

__all__ = ["Batch", "Data", "InputSpec", "Session", "input_specs"]
