"""Sparse tensors, written out as dense ones: no other part of the package has to know of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import onnx

from wua_onnx._text import clean
from wua_onnx.errors import LimitError, ModelError

MAX_ELEMENTS = 2**27  # of all sparse tensors of a model, written out

_Owner: TypeAlias = "onnx.GraphProto | onnx.FunctionProto"


def written_out(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return `proto`, or where it holds sparse tensors a copy that holds dense ones in their place.

    Initializers and Constants are looked at, those of functions and of graphs inside nodes too.

    Raises:
        LimitError: they would have more than `MAX_ELEMENTS`.
        ModelError: one is malformed.
    """
    if not any(_sparse_in(owner) for owner in _owners(proto)):
        return proto
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    left = MAX_ELEMENTS
    for owner in _owners(copy):
        for tensor in owner.sparse_initializer if isinstance(owner, onnx.GraphProto) else ():
            left -= _checked(tensor, left)
            owner.initializer.append(_dense(tensor))
        if isinstance(owner, onnx.GraphProto):
            owner.ClearField("sparse_initializer")
        for attribute in _sparse_constants(owner):
            left -= _checked(attribute.sparse_tensor, left)
            dense = _dense(attribute.sparse_tensor)
            attribute.Clear()
            attribute.name, attribute.type = "value", onnx.AttributeProto.TENSOR
            attribute.t.CopyFrom(dense)
    return copy


def _owners(proto: onnx.ModelProto) -> Iterator[_Owner]:
    pending: list[_Owner] = [proto.graph, *proto.functions]
    while pending:
        owner = pending.pop()
        yield owner
        for node in owner.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    pending.append(attribute.g)
                pending.extend(attribute.graphs)


def _sparse_in(owner: _Owner) -> bool:
    given = isinstance(owner, onnx.GraphProto) and len(owner.sparse_initializer) > 0
    return given or any(True for _ in _sparse_constants(owner))


def _sparse_constants(owner: _Owner) -> Iterator[onnx.AttributeProto]:
    for node in owner.node:
        if node.op_type == "Constant":
            yield from (attribute for attribute in node.attribute if attribute.HasField("sparse_tensor"))


def _checked(tensor: onnx.SparseTensorProto, left: int) -> int:
    """Return how many elements the dense tensor has."""
    if any(size < 0 for size in tensor.dims):
        raise ModelError(f"{_where(tensor)}: expected sizes of at least 0, got {list(tensor.dims)}")
    size: int = math.prod(tensor.dims)
    if size > left:
        raise LimitError(f"{_where(tensor)}: expected at most {MAX_ELEMENTS:,} elements written out, got more")
    return size


def _where(tensor: onnx.SparseTensorProto) -> str:
    return f"sparse tensor {clean(tensor.values.name)!r}"


def _dense(tensor: onnx.SparseTensorProto) -> onnx.TensorProto:
    """Return the tensor of zeros with the values in their places, which are linear or rows of coordinates."""
    shape = tuple(tensor.dims)
    try:
        values = onnx.numpy_helper.to_array(tensor.values).reshape(-1)
        places = onnx.numpy_helper.to_array(tensor.indices).astype(np.int64)
        if places.ndim == 2:
            places = np.ravel_multi_index(tuple(places.T), shape)
        if places.size and (places.min() < 0 or places.max() >= math.prod(shape)):
            raise ValueError("an index beyond the tensor")
        dense = np.zeros(math.prod(shape), values.dtype)
        dense[places] = values
    except Exception as error:  # many kinds, on malformed tensors
        raise ModelError(f"{_where(tensor)}: expected values and as many indices, got {clean(str(error))}") from error
    result: onnx.TensorProto = onnx.numpy_helper.from_array(dense.reshape(shape), tensor.values.name)
    return result
