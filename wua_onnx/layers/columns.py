"""Following the columns of projections to where they are used.

The chain of reshapes, transpositions, splits and so on between a projection and an operand of attention is run on
*numbers of columns* instead of values: `Columns.of` says of every element of a tensor which columns it is made
from. Cosines of rotary embeddings, scales, masks and caches lead to no layer and add nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.activation_functions import ALONG_AXIS, OPERATORS
from wua_onnx.layers.layer import Layer, Use
from wua_onnx.layers.moves import LIMIT, MOVES, Unmoved, data_inputs, moved
from wua_onnx.layers.sizes import Sizes
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]
NONE = -1
_MAX_DEPTH = 100
_MAX_PLANES = 8
DOMAINS = frozenset({"", "com.microsoft"})
# What a column becomes under these stays in its place; they may mix it with others of its head (or of all heads).
_NORMALISATIONS = frozenset(
    {"BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "LpNormalization"}
    | {"RMSNormalization", "SimplifiedLayerNormalization"}
)
_UNARY = (OPERATORS.keys() - ALONG_AXIS - {"BiasGelu"}) | {"Abs", "Cast", "Identity", "Neg", "Sqrt"}
FIRST = _UNARY | _NORMALISATIONS | {"DequantizeLinear", "Dropout", "QuantizeLinear", "RotaryEmbedding"}
ELEMENTWISE = {"Add": 0, "Div": 0, "Max": 0, "Min": 0, "Mul": 0, "Pow": 0, "Sub": 0, "Sum": 0, "Where": 1}
SUMS = frozenset({"Add", "Sub", "Sum"})


@dataclass(frozen=True, slots=True)
class Source:
    """The result of a projection: whose columns it holds, and along which axes."""

    layer: str
    columns: int
    axes: tuple[int, ...]


def sources_of(layers: Mapping[str, Layer]) -> dict[ir.Value, Source]:
    """Return what each dense layer and convolution computes, by its result."""
    return {
        use.output: Source(name, layer.neurons, use.output_axes)
        for name, layer in layers.items()
        for use in layer.uses
        if _projects(use)
    }


def _projects(use: Use) -> bool:
    """Return whether a use is a product of features with a weight."""
    return use.features is not None and use.reads == "after"


class Columns:
    """Which columns of which layer every element of a tensor is made from.

    Columns are numbered over all layers; `layer_of` tells them apart.
    """

    def __init__(self, model: Model, sources: Mapping[ir.Value, Source], size: int) -> None:
        self.model, self.sizes = model, Sizes(model, size)
        self._sources = sources
        self._starts: dict[str, int] = {}
        self._widths: dict[str, int] = {}
        self._known: dict[ir.Value, Array | str] = {}

    def of(self, value: ir.Value, depth: int = 0) -> Array:
        """Return the numbers of columns, shape (planes, *shape of value); -1 where an element has fewer.

        Raises:
            Unmoved: the way from the layers to `value` cannot be followed.
        """
        if value not in self._known:
            try:
                found = self._of(value, depth)
                self._known[value] = found
                self.sizes.known[value] = found.shape[1:]
            except Unmoved as reason:
                self._known[value] = str(reason)
        found_or_reason = self._known[value]
        if isinstance(found_or_reason, str):
            raise Unmoved(found_or_reason)
        return found_or_reason

    def is_projection(self, node: NodeView) -> bool:
        """Return whether `node` is a layer."""
        return any(value in self._sources for value in node.node.outputs)

    def layers_in(self, numbers: Array) -> dict[str, Array]:
        """Return the layers whose columns are among `numbers`, and which of theirs, ascending."""
        present = np.unique(numbers[numbers != NONE])
        parts = {
            name: present[(present >= start) & (present < start + self._widths[name])] - start
            for name, start in self._starts.items()
        }
        return {name: part for name, part in parts.items() if part.size}

    def width(self, layer: str) -> int:
        """Return how many columns `layer` has."""
        return self._widths[layer]

    def start(self, layer: str) -> int:
        """Return the number of the first column of `layer`."""
        return self._starts[layer]

    def _of(self, value: ir.Value, depth: int) -> Array:
        if value in self._sources:
            return self._source(value)
        producer = value.producer()
        if producer is None or value in self.model.constants:
            return self._nothing(value)
        node = NodeView(producer, self.model)
        if depth > _MAX_DEPTH:
            raise Unmoved(f"no layer within {_MAX_DEPTH} operators before {node.where}")
        if node.domain in DOMAINS and node.node.inputs:
            if node.op_type in FIRST and node.input(0) is not None:
                return self.of(_given(node, 0), depth + 1)
            if node.op_type == "TensorScatter" and node.has(1):
                return self.of(_given(node, 1), depth + 1)  # every position of a cache is alike
            if node.op_type in ELEMENTWISE:
                return self._elementwise(node, depth)
            if node.op_type in MOVES and node.input(0) is not None:
                return self._moved(node, producer.outputs.index(value), depth)
        raise Unmoved(f"computed by {node.where}, which is no layer that is analysed")

    def _source(self, value: ir.Value) -> Array:
        source = self._sources[value]
        if source.layer not in self._starts:
            self._starts[source.layer] = sum(self._widths.values())
            self._widths[source.layer] = source.columns
        rank = max(len(value.shape or ()), max(source.axes) + 1)
        shape = list(self.sizes.shape(value) or [self.sizes.size] * rank)
        along = [shape[axis] if axis in source.axes else 1 for axis in range(rank)]
        if len(source.axes) == 1:
            along[source.axes[0]] = shape[source.axes[0]] = source.columns
        if np.prod(along) != source.columns or np.prod(shape, dtype=np.float64) > LIMIT:
            raise Unmoved(f"the result of layer {source.layer!r} is too large to follow, or its shape is unknown")
        numbers = np.arange(source.columns, dtype=np.int32).reshape(along) + self._starts[source.layer]
        return np.broadcast_to(numbers, shape)[None]

    def _nothing(self, value: ir.Value) -> Array:
        shape = self.sizes.shape(value)
        if shape is None or np.prod(shape, dtype=np.float64) > LIMIT:
            raise Unmoved("the shape of an input or constant is unknown" if shape is None else "a tensor is too large")
        return np.broadcast_to(np.int32(NONE), (1, *shape))

    def _moved(self, node: NodeView, output: int, depth: int) -> Array:
        operands = self._operands([_given(node, index) for index in data_inputs(node)], depth)
        planes = max(operand.shape[0] for operand in operands)
        padded = [_planes(operand, planes) for operand in operands]
        numbers = self.sizes.numbers_of(node)
        return np.stack([moved(node, output, [part[i] for part in padded], numbers) for i in range(planes)])

    def _operands(self, values: Sequence[ir.Value], depth: int) -> list[Array]:
        """Return the columns in each operand: those that lead to no layer (caches, say) have none, unless all do."""
        found: list[Array] = []
        reason: Unmoved | None = None
        for value in values:
            try:
                found.append(self.of(value, depth + 1))
            except Unmoved as why:
                reason = why
                found.append(self._nothing(value))
        if reason is not None and not any((operand != NONE).any() for operand in found):
            raise reason
        return found

    def _elementwise(self, node: NodeView, depth: int) -> Array:
        """Unite what the operands are made from; whatever leads to no layer (angles, scales, masks) adds nothing."""
        operands: list[Array] = []
        shapes: list[tuple[int, ...]] = []
        reason: Unmoved | None = None
        for index in range(ELEMENTWISE[node.op_type], len(node.node.inputs)):
            value = _given(node, index)
            try:
                found = self.of(value, depth + 1)
            except Unmoved as why:
                reason = why
                shapes.append(self.sizes.shape(value) or ())
                continue
            shapes.append(found.shape[1:])
            if (found != NONE).any():
                operands.append(found)
        if reason is not None and not operands:
            raise reason
        return self._united(node, operands, shapes)

    def _united(self, node: NodeView, operands: Sequence[Array], shapes: Sequence[tuple[int, ...]]) -> Array:
        try:
            shape = np.broadcast_shapes(*shapes, *(operand.shape[1:] for operand in operands))
        except ValueError:
            raise Unmoved(f"the shapes of {node.where} do not fit") from None
        if np.prod(shape, dtype=np.float64) > LIMIT:
            raise Unmoved(f"{node.where} makes more than {LIMIT:,} elements")
        if not operands:
            return np.broadcast_to(np.int32(NONE), (1, *shape))
        layers = {frozenset(self.layers_in(operand)) for operand in operands}
        if len(layers) > 1:
            raise Unmoved(f"{node.where} joins several layers: no single projection")
        planes = [np.broadcast_to(plane, shape) for operand in operands for plane in operand]
        kept: list[Array] = []
        for plane in planes:
            if not any(np.array_equal(plane, other) for other in kept):
                kept.append(plane)
        if len(kept) > _MAX_PLANES:
            raise Unmoved(f"{node.where} mixes more than {_MAX_PLANES} columns in one element")
        return np.stack(kept)


def _given(node: NodeView, index: int) -> ir.Value:
    value = node.input(index)
    if value is None:
        raise Unmoved(f"input {index} of {node.where} is left out")
    return value


def _planes(array: Array, count: int) -> Array:
    """Return `array` with `count` planes: none stands in those that are missing."""
    missing = count - array.shape[0]
    return array if not missing else np.concatenate([array, np.full((missing, *array.shape[1:]), NONE, np.int32)])
