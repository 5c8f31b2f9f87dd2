"""Bytes: what each node moves, what lives at once, what the parameters weigh (conventions 5 and 14)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import onnx_ir as ir

from wua_onnx.model.dims import Dim, ceildiv, maximum, product
from wua_onnx.model.graph import Model, NodeView

# Their output is the same storage as their first input: nothing moves.
VIEWS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout"})
# Their output tells only the shape of the input, which is not read.
SHAPES = frozenset({"Shape", "Size"})
# Index dtypes and flags hold no learned values.
_NOT_LEARNED = frozenset({ir.DataType.INT64, ir.DataType.BOOL, ir.DataType.STRING, ir.DataType.UNDEFINED})
_MAX_CANDIDATES = 12


def value_bytes(model: Model, value: ir.Value | None) -> Dim | None:
    """Return the bytes of `value`; None where its shape or element type is unknown."""
    shape = model.shape(value) if value is not None else None
    if value is None or shape is None or value.dtype in (None, ir.DataType.STRING, ir.DataType.UNDEFINED):
        return None
    assert value.dtype is not None
    return tensor_bytes(product(shape), value.dtype)


def tensor_bytes(elements: Dim, dtype: ir.DataType) -> Dim:
    """Return the bytes of `elements` values of `dtype`, sub-byte types packed."""
    bits = int(dtype.bitwidth)
    return elements * (bits // 8) if bits % 8 == 0 else ceildiv(elements * bits, 8)


def moved(node: NodeView) -> tuple[Dim, Dim]:
    """Return the bytes that `node` reads and writes; unknown sizes count as 0 and make the node unknown elsewhere."""
    model = node.model
    if node.op_type in VIEWS:
        return 0, 0
    written = _sum(value_bytes(model, value) for value in node.node.outputs)
    if node.op_type in SHAPES:
        return 0, written
    inputs = list(node.node.inputs)
    if node.op_type in ("Gather", "GatherElements", "GatherND") and inputs:
        return written + _sum([value_bytes(model, value) for value in inputs[1:]]), written
    return _sum(value_bytes(model, value) for value in dict.fromkeys(inputs)), written


def _sum(sizes: Iterable[Dim | None]) -> Dim:
    result: Dim = 0
    for size in sizes:
        if size is not None:
            result = result + size
    return result


def peak(model: Model, nodes: list[NodeView]) -> tuple[Dim, Dim]:
    """Return (bytes of all activations, largest number of bytes alive at once) for `nodes` in file order."""
    storage: dict[ir.Value, ir.Value] = {}  # a view's storage is that of what it views

    def root(value: ir.Value) -> ir.Value:
        return storage.get(value, value)

    last: dict[ir.Value, int] = {}
    for index, node in enumerate(nodes):
        if node.op_type in VIEWS and node.node.inputs and node.node.inputs[0] is not None:
            storage[node.node.outputs[0]] = root(node.node.inputs[0])
        for value in (*node.node.inputs, *node.node.outputs):
            if value is not None:
                last[root(value)] = index
    for value in model.ir_model.graph.outputs:
        last[root(value)] = len(nodes)
    sizes = {v: value_bytes(model, v) or 0 for v in last if v not in model.constants}
    ending: dict[int, list[ir.Value]] = {}
    for value in sizes:
        ending.setdefault(last[value], []).append(value)
    alive = _sum(sizes.get(value, 0) for value in model.inputs)
    candidates: list[Dim] = [alive]
    born: set[ir.Value] = set(model.inputs)
    for index, node in enumerate(nodes):
        for value in node.node.outputs:
            if value in sizes and value not in born:
                born.add(value)
                alive = alive + sizes[value]
        _keep_largest(candidates, alive)
        for value in ending.get(index, ()):
            if value in born:
                alive = alive - sizes[value]
    return _sum(sizes.values()), maximum(*candidates)


def _keep_largest(candidates: list[Dim], new: Dim) -> None:
    """Add `new` and drop what can never be the largest, whatever positive values the symbols take."""
    if any(_never_above(new, old) for old in candidates):
        return
    candidates[:] = [old for old in candidates if not _never_above(old, new)]
    candidates.append(new)


def _never_above(a: Dim, b: Dim) -> bool:
    difference = b - a
    if isinstance(difference, int):
        return difference >= 0
    if any(not isinstance(atom, str) for monomial in difference.terms for atom, _ in monomial):
        return False
    # Symbols are at least 1, so a constant below zero is outweighed by the other terms where they sum to more.
    negative = sum(c for m, c in difference.terms.items() if c < 0)
    if any(c < 0 and m for m, c in difference.terms.items()):
        return False
    return negative + sum(c for c in difference.terms.values() if c > 0) >= 0


def parameters(model: Model) -> tuple[int, int]:
    """Return (elements, bytes) of the parameters: each initializer once, whatever uses it.

    Parameters are the initializers and Constant tensors of at least one dimension that some node reads and whose
    element type can hold learned values (not int64, bool or string, which hold shapes, indices and masks).
    """
    elements = size = 0
    for value in parameter_values(model):
        tensor = value.const_value
        assert tensor is not None
        elements += int(tensor.size)
        bytes_ = tensor_bytes(int(tensor.size), tensor.dtype)
        size += bytes_ if isinstance(bytes_, int) else 0
    return elements, size


def parameter_values(model: Model) -> list[ir.Value]:
    """Return the values that hold parameters, in file order (see `parameters`)."""
    graphs: list[ir.Graph] = [model.ir_model.graph]
    found: dict[ir.Value, None] = {}
    while graphs:
        graph = graphs.pop(0)
        for value in (*graph.initializers.values(), *_constant_outputs(graph)):
            if is_parameter(value):
                found[value] = None
        for node in graph:
            graphs.extend(NodeView(node, model).graphs().values())
    return list(found)


def _constant_outputs(graph: ir.Graph) -> list[ir.Value]:
    outputs = [node.outputs[0] for node in graph if node.op_type == "Constant" and node.outputs]
    for value in outputs:
        if value.const_value is None:
            with suppress(ValueError):  # a malformed attribute holds no parameters
                value.const_value = ir.convenience.get_const_tensor(value)
    return outputs


def is_parameter(value: ir.Value) -> bool:
    """Return whether `value` holds parameters (see `parameters`)."""
    tensor = value.const_value
    if tensor is None or tensor.dtype in _NOT_LEARNED or len(tensor.shape) == 0:
        return False
    return bool(value.uses())


__all__ = ["is_parameter", "moved", "parameter_values", "parameters", "peak", "tensor_bytes", "value_bytes"]
