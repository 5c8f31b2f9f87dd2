"""Products of two computed tensors."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from wua_onnx.layers.moves import Unmoved
from wua_onnx.layers.products import product_of
from wua_onnx.layers.sizes import Sizes
from wua_onnx.model import load
from wua_onnx.model.node import NodeView


def test_an_operand_of_any_size_is_no_work() -> None:
    """A view takes no memory, whatever its shape; what is computed of it would."""
    text = """<ir_version: 8, opset_import: ["": 18]>
    agraph (float[n, m, k] a, float[n, k, p] b) => (float[n, m, p] y) {
        y = MatMul(a, b) }"""
    loaded = load(onnx.parser.parse_model(text))
    node = NodeView(next(iter(loaded.ir_model.graph)), loaded)
    endless = np.broadcast_to(np.int32(0), (1, 2, 10**9, 10**9))
    with pytest.raises(Unmoved, match="has more than"):
        product_of(node, {0: endless}, Sizes(loaded, 1))
