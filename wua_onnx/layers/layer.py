"""What the other rooms know of a layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.activation_functions import Function
from wua_onnx.layers.activations import Activation
from wua_onnx.layers.quantization import Quantization
from wua_onnx.layers.side import Side
from wua_onnx.layers.weights import WeightSource, positions, read
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]


Reads: TypeAlias = Literal["after", "output", "lookups", "nothing"]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How an operator's weight becomes canonical: its axes split, reordered and merged again.

    Attributes:
        split: the shape with axes split.
        permutation: the order of the split axes.
        shape: the canonical shape.
        rows: the order of the rows (all axes but the innermost), where it is none of axes: gates that an operator
            orders otherwise.
    """

    split: tuple[int, ...]
    permutation: tuple[int, ...]
    shape: tuple[int, ...]
    rows: tuple[int, ...] = ()

    @classmethod
    def transposing(cls, shape: tuple[int, ...], permutation: tuple[int, ...] | None = None) -> Arrangement:
        """Return the arrangement that only reorders the axes of `shape`."""
        order = tuple(range(len(shape))) if permutation is None else permutation
        return cls(shape, order, tuple(shape[axis] for axis in order))

    def __call__(self, array: Array) -> Array:
        """Return `array` arranged; a view where axes are only reordered."""
        moved = np.transpose(array.reshape(self.split), self.permutation)
        if self.rows:
            moved = moved.reshape(len(self.rows), -1)[list(self.rows)]
        return moved.reshape(self.shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """What a weight is multiplied with: the features that come in.

    Attributes:
        value: the tensor.
        axes: its axes along which the features lie.
        spread: turns one number per feature into an array that broadcasts against the canonical weight.
        quantization: what the integers of the tensor stand for; None where it holds real numbers.
        side: computes what comes in, where no tensor of the model is just that; its norms are taken then.
    """

    value: ir.Value
    axes: tuple[int, ...]
    spread: Callable[[Array], Array]
    quantization: Quantization | None = None
    side: Side | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Use:
    """One operator that uses a weight: what a layer kind recognises.

    Attributes:
        node: the operator.
        kind: the kind of layer (dense, convolution …).
        source: where the weight's elements come from.
        arrangement: how the operator's weight becomes canonical; dense (in, out), convolution
            (out, in / groups, ...), recurrent (gates, hidden, in).
        neuron_axis: the axis of the canonical weight along which neurons lie.
        output, output_axes: a result of the operator, and the axes of it along which neurons lie.
        reads: where the activation of the neurons is: "after" the activation function that follows the output, in
            the "output" itself, how often a row is looked up by the "lookups" that the output then is, or "nothing".
        unread: why nothing is read.
        side: computes the neurons, or what is looked up, where the operator keeps that to itself; they are read there.
        valid: how many positions of each sample are valid, and the axis of the output that they lie along, None where
            the whole of a sample is valid or not; None where all are.
        factor: a constant that multiplies the weight inside the operator (Gemm's alpha).
        decode: turns stored elements into real ones, where the operator itself holds the scales.
        elements: the shape of what `decode` returns, where several elements are packed in one that is stored.
        function: the activation function that the operator applies itself, where the output is already behind it.
        quantization: what the integers of the output stand for; None where it holds real numbers.
        features: what the weight is multiplied with; None where it cannot be seen.
        parameter: what the operator calls the weight, where it owns several.
        gates: the names along the first axis of a recurrent weight.
        others: operators that use other gates of the weight in the same step, where `node` uses some of them.
    """

    node: NodeView
    kind: str
    source: WeightSource
    arrangement: Arrangement
    neuron_axis: int
    output: ir.Value
    output_axes: tuple[int, ...]
    reads: Reads = "after"
    unread: str = ""
    side: Side | None = None
    valid: tuple[ir.Value, int | None] | None = None
    factor: float = 1.0
    decode: Callable[[Array, NodeView], Array] | None = None
    elements: tuple[int, ...] | None = None
    function: Function | None = None
    quantization: Quantization | None = None
    features: Features | None = None
    parameter: str | None = None
    gates: tuple[str, ...] = ()
    others: tuple[NodeView, ...] = ()

    @property
    def operators(self) -> tuple[NodeView, ...]:
        """Every operator that uses some of the weight here."""
        return (self.node, *self.others)

    def canonical(self, model: Model) -> Array:
        """Return the weight in canonical order and real units, constant factors of the operator left out."""
        stored = read(self.source, model)
        return self.arrangement(stored if self.decode is None else self.decode(stored, self.node))

    @property
    def order(self) -> tuple[object, ...]:
        """What decides in which order the stored elements appear; uses with the same one need no aligning."""
        moves: tuple[object, ...] = tuple(
            (node.op_type, str(node.attributes.get("perm")))
            for node in self.source.chain
            if node.op_type == "Transpose"
        )
        return moves, self.arrangement, self.source.shape

    def positions(self, model: Model) -> Array:
        """Return where each element of the canonical weight lies among the stored elements."""
        if self.elements is not None:
            return self.arrangement(np.arange(int(np.prod(self.elements, dtype=np.int64))).reshape(self.elements))
        return self.arrangement(positions(self.source, model))


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """A group of weights that is scored together: every use of one initializer, or of one part of it.

    Attributes:
        name: unique and stable; the module path where the exporter left one.
        uses: the operators that use the weight, in file order.
        activations: for each use, where its neurons' activation is read.
        shape: of the canonical weight (that of the first use).
        dtype: the element type in the file.
    """

    name: str
    model: Model
    uses: tuple[Use, ...]
    activations: tuple[Activation, ...]
    shape: tuple[int, ...]
    dtype: ir.DataType

    @property
    def kind(self) -> str:
        """The kind of layer."""
        return self.uses[0].kind

    @property
    def weight_name(self) -> str:
        """The name of the initializer that holds the elements, and which part of it where that is not all of it."""
        source = self.uses[0].source
        return f"{source.root.name or ''}{source.part.label if source.part is not None else ''}"

    @property
    def neuron_axis(self) -> int:
        """The axis of the canonical weight along which neurons lie."""
        return self.uses[0].neuron_axis

    @property
    def neurons(self) -> int:
        """The number of neurons."""
        return self.shape[self.neuron_axis]

    @property
    def size(self) -> int:
        """The number of weights."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def stored(self) -> int:
        """The number of elements that the file stores them in, fewer than there are weights where they are packed."""
        return self.uses[0].source.stored or self.size

    @cached_property
    def factors(self) -> tuple[Array, ...]:
        """For each use, the constant per neuron that multiplies the weight, shape (neurons,) or ()."""
        return tuple(
            np.asarray(use.factor * activation.factor, dtype=np.float64)
            for use, activation in zip(self.uses, self.activations, strict=True)
        )

    def weight(self, index: int = 0) -> Array:
        """Return the canonical weight of use `index`, its constant factors multiplied in.

        Raises:
            ExternalDataError: its elements are missing.
        """
        use = self.uses[index]
        weight = use.canonical(self.model)
        if not np.issubdtype(weight.dtype, np.floating) or weight.dtype.itemsize < 4:
            weight = weight.astype(np.float32)
        factor = self.factors[index]
        if np.all(factor == 1.0):
            return weight
        along = [1] * weight.ndim
        along[use.neuron_axis] = -1
        return np.asarray(weight * factor.reshape(along if factor.ndim else ()).astype(weight.dtype))

    def aligned(self, array: Array, index: int) -> Array:
        """Return an array in the canonical order of use `index` in that of the first use.

        Uses of one initializer may see it transposed (a table that serves as the last layer, too).
        """
        first, use = self.uses[0], self.uses[index]
        if use.order == first.order:
            return array.reshape(self.shape)
        root = first.source.root.const_value
        elements = np.empty(self.size if root is None else max(self.size, int(root.size)), array.dtype)
        elements[use.positions(self.model).reshape(-1)] = array.reshape(-1)
        return np.asarray(elements[first.positions(self.model)])
