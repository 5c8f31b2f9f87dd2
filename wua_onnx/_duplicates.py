"""Parameters that are stored more than once."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.cost.memory import parameter_values
from wua_onnx.model.graph import Model

_SMALLEST = 64  # elements; equal scales and biases of a few elements are no news


def duplicates(model: Model) -> tuple[tuple[tuple[str, ...], int], ...]:
    """Return groups of parameters with the same type, shape and elements: (names, elements of one).

    Only tensors that share type, shape and their first and last elements with another one are read whole. Tensors that
    hold one value throughout, as untrained scales and biases do, are not meant.
    """
    same_shape: dict[tuple[ir.DataType, tuple[int, ...]], list[ir.Value]] = {}
    for value in parameter_values(model):
        tensor = value.const_value
        if tensor is not None and tensor.size >= _SMALLEST:
            same_shape.setdefault((tensor.dtype, tuple(tensor.shape.numpy())), []).append(value)
    alike: dict[tuple[object, ...], list[ir.Value]] = {}
    for key, values in same_shape.items():
        for value in values if len(values) > 1 else ():
            alike.setdefault((key, _ends(model.weight(value))), []).append(value)
    groups: dict[bytes, list[ir.Value]] = {}
    for known, values in alike.items():
        if len(values) > 1:
            for value in values:
                content = np.ascontiguousarray(model.weight(value))
                if (content != content.flat[0]).any():
                    digest = hashlib.blake2b(content.view(np.uint8).data).digest()
                    groups.setdefault(repr(known).encode() + digest, []).append(value)
    return tuple(
        (tuple(clean(value.name) for value in values), int(values[0].const_value.size))
        for values in groups.values()
        if len(values) > 1 and values[0].const_value is not None
    )


def _ends(array: np.ndarray[Any, Any]) -> bytes:
    """Return the first and last elements as bytes."""
    flat = array.reshape(-1)
    return flat[:_SMALLEST].tobytes() + flat[-_SMALLEST:].tobytes()
