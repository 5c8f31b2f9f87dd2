"""Parameters that are stored more than once."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from wua_onnx._duplicates import duplicates
from wua_onnx.model import load


def test_equal_weights_are_found_and_fresh_ones_are_not_meant() -> None:
    """Scales of ones and biases of zeros are equal in every new model."""
    x = np.random.default_rng(0).standard_normal(67).astype(np.float32)
    tensors = {"a": x, "b": x, "c": x + 1, "ones": x * 0 + 1, "more_ones": x * 0 + 1}
    names = ", ".join(tensors)
    text = f'<ir_version: 8, opset_import: ["": 18]> agraph (float[67] x) => (float[67] y) {{ y = Sum(x, {names}) }}'
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in tensors.items())
    assert duplicates(load(proto)) == ((("a", "b"), 67),)
