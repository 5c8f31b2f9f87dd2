"""Where a walk from a layer to its activation stands, and what is read there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.axes import readers
from wua_onnx.layers.quantization import Quantization
from wua_onnx.layers.weights import read, resolve
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]
DOMAINS = frozenset({"", "com.microsoft"})


@dataclass(eq=False)
class Walk:
    """Neurons on their way.

    Attributes:
        model: the model.
        graph: the graph that the walk stays in.
        value, axes: the tensor that was reached, and its axes along which the neurons lie.
        factor: the product of the constant scales on the way, shape (neurons,) or ().
        quantization: what the integers of the tensor stand for; None where it holds real numbers.
        scaled_alike: whether the last step multiplied every neuron by the same number.
    """

    model: Model
    graph: ir.Graph | ir.Function | None
    value: ir.Value
    axes: tuple[int, ...]
    factor: Array
    quantization: Quantization | None = None
    scaled_alike: bool = False

    def step(self, value: ir.Value, axes: tuple[int, ...], factor: Array | float = 1.0) -> None:
        """Go on to `value`."""
        self.value, self.axes, self.factor = value, axes, self.factor * factor
        self.scaled_alike = np.ndim(factor) == 0 and bool(factor != 1)


def all_users(value: ir.Value, op: str, graph: ir.Graph | ir.Function | None) -> list[ir.Node]:
    """Return what reads `value` where all of that are operators `op` of `graph` that take it as their first input."""
    uses = readers(value)
    fit = all(use.node.op_type == op and use.idx == 0 and use.node.graph is graph for use in uses)
    return [use.node for use in uses] if fit and not value.is_graph_output() else []


def only_user(walk: Walk) -> tuple[NodeView, int] | None:
    """Return what alone reads the neurons, in the graph of the walk, and as which of its inputs."""
    uses = readers(walk.value)
    if len(uses) != 1 or walk.value.is_graph_output() or uses[0].node.graph is not walk.graph:
        return None
    node = NodeView(uses[0].node, walk.model)
    return (node, uses[0].idx) if node.domain in DOMAINS and node.node.outputs else None


def constant_of(node: NodeView, index: int) -> Array | None:
    """Return constant input `index` as float64; None where it cannot be read."""
    source = resolve(node.input(index), node.model)
    return None if isinstance(source, str) else np.asarray(read(source, node.model), dtype=np.float64)


def along_neurons(node: NodeView, index: int, walk: Walk) -> Array | None:
    """Return the constant operand as one number per neuron, or a single one; None where it varies otherwise."""
    value, rank = node.input(index), len(node.node.outputs[0].shape or ())
    if value is None or value.shape is None or rank != len(walk.value.shape or ()):
        return None
    shape = [1] * (rank - len(value.shape)) + list(value.shape)
    if len(shape) != rank or any(size != 1 for axis, size in enumerate(shape) if axis not in walk.axes):
        return None
    constant = constant_of(node, index)
    if constant is None or constant.size <= 1:
        return None if constant is None else constant.reshape(())
    if len(walk.axes) == 1:
        return constant.reshape(-1)
    whole = walk.model.shape(walk.value)
    sizes = [whole[axis] for axis in walk.axes] if whole is not None else [None]
    if not all(isinstance(size, int) for size in sizes):
        return None
    others = tuple(axis for axis in range(rank) if axis not in walk.axes)
    per_neuron = np.transpose(constant.reshape((1,) * (rank - constant.ndim) + constant.shape), (*walk.axes, *others))
    known = [size for size in sizes if isinstance(size, int)]
    return np.broadcast_to(per_neuron.reshape(per_neuron.shape[: len(known)]), known).reshape(-1)
