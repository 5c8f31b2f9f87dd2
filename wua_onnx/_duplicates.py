"""Parameters that are stored more than once."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx_ir as ir

from wua_onnx.cost.memory import parameter_values
from wua_onnx.model.graph import Model
from wua_onnx.model.limits import clean

_SMALLEST = 64  # elements; equal scales and biases of a few elements are no news


def duplicates(model: Model) -> tuple[tuple[tuple[str, ...], int], ...]:
    """Return groups of parameters with the same type, shape and elements: (names, elements of one).

    Only tensors that share type and shape with another one are read.
    """
    alike: dict[tuple[ir.DataType, tuple[int, ...]], list[ir.Value]] = {}
    for value in parameter_values(model):
        tensor = value.const_value
        if tensor is not None and tensor.size >= _SMALLEST:
            alike.setdefault((tensor.dtype, tuple(tensor.shape.numpy())), []).append(value)
    groups: dict[bytes, list[ir.Value]] = {}
    for key, values in alike.items():
        if len(values) > 1:
            for value in values:
                content = np.ascontiguousarray(model.weight(value)).view(np.uint8).data
                groups.setdefault(repr(key).encode() + hashlib.blake2b(content).digest(), []).append(value)
    return tuple(
        (tuple(clean(value.name) for value in values), int(values[0].const_value.size))
        for values in groups.values()
        if len(values) > 1 and values[0].const_value is not None
    )
