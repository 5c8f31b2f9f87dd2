"""The numbers of a graph at one small size of its free dimensions: shapes, and integers computed from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.elementwise import EVALUATE
from wua_onnx.layers.moves import MOVES, Numbers, Unmoved, data_inputs, moved
from wua_onnx.model.dims import Dim, substitute, symbols
from wua_onnx.model.graph import Model
from wua_onnx.model.node import SMALL, NodeView

Array: TypeAlias = np.ndarray[Any, Any]
_MAX_DEPTH = 100


class Sizes:
    """Shapes and integers where every free or unknown dimension is `size`.

    With 1 for all of them a product of unknown dimensions is 1, too, so that shapes fit each other even where
    inference lost how they are related.
    """

    def __init__(self, model: Model, size: int) -> None:
        self.model, self.size = model, size
        self._numbers: dict[ir.Value, Array | None] = {}
        # Shapes of values that were followed, which are more certain than inferred ones.
        self.known: dict[ir.Value, tuple[int, ...]] = {}

    def shape(self, value: ir.Value) -> tuple[int, ...] | None:
        """Return the shape of `value`; None where its rank is unknown or a size is below zero."""
        if value in self.known:
            return self.known[value]
        if value.shape is None:
            seen = self.model.seen.get(value)
            return None if seen is None else tuple(self._dim(dim) for dim in seen)
        shape = tuple(self._dim(self.model.dim(dim)) for dim in value.shape)
        return shape if all(size >= 0 for size in shape) else None

    def _dim(self, dim: Dim | None) -> int:
        if dim is None:
            return self.size
        result = substitute(dim, dict.fromkeys(symbols(dim), self.size))
        return result if isinstance(result, int) else self.size

    def numbers(self, value: ir.Value | None, depth: int = 0) -> Array | None:
        """Return the elements of a small tensor that shapes and constants decide; None for any other."""
        if value is None:
            return None
        if value not in self._numbers:
            self._numbers[value] = None  # a graph that goes in circles ends here
            result = self._compute(value, depth) if depth < _MAX_DEPTH else None
            self._numbers[value] = result if result is not None and result.size <= SMALL else None
        return self._numbers[value]

    def numbers_of(self, node: NodeView) -> Numbers:
        """Return what `numbers` says of the inputs of `node`, by their number."""
        return lambda index: self.numbers(node.input(index))

    def _compute(self, value: ir.Value, depth: int) -> Array | None:
        tensor = ir.convenience.get_const_tensor(value)
        if tensor is not None:
            is_small = tensor.size <= SMALL and not isinstance(tensor, ir.ExternalTensor)
            return np.asarray(tensor.numpy()) if is_small else None
        producer = value.producer()
        if producer is None or producer.domain not in ("", "ai.onnx"):
            return None
        node = NodeView(producer, self.model)
        if node.op_type in ("Shape", "Size"):
            return self._measured(node)
        if node.op_type not in MOVES and node.op_type not in _COMPUTED:
            return None
        arguments = [self.numbers(operand, depth + 1) for operand in producer.inputs]
        if node.op_type in MOVES:
            return _moved(node, producer.outputs.index(value), arguments)
        given = [argument for argument in arguments if argument is not None]
        if len(given) < len(arguments) or not given:
            return None
        try:
            with np.errstate(all="ignore"):
                return np.asarray(_COMPUTED[node.op_type](node, given))
        except (ValueError, TypeError, OverflowError, MemoryError):
            return None

    def _measured(self, node: NodeView) -> Array | None:
        value = node.input(0)
        shape = self.shape(value) if value is not None else None
        if shape is None:
            return None
        if node.op_type == "Size":
            return np.asarray(int(np.prod(shape, dtype=np.int64)))
        return np.array(shape[node.attr("start", 0) : node.attr("end", None)], np.int64)


def _moved(node: NodeView, output: int, arguments: Sequence[Array | None]) -> Array | None:
    wanted = data_inputs(node)
    data = [arguments[index] for index in wanted if index < len(arguments)]
    known = [argument for argument in data if argument is not None]
    if not known or len(known) < len(wanted):
        return None
    try:
        return moved(node, output, known, lambda index: arguments[index])
    except Unmoved:
        return None


def _divide(node: NodeView, arguments: Sequence[Array]) -> Array:
    a, b = arguments
    whole = np.issubdtype(a.dtype, np.integer) and np.issubdtype(b.dtype, np.integer)
    return np.asarray(a // b if whole else a / b)


def _constant_of_shape(node: NodeView, arguments: Sequence[Array]) -> Array:
    fill = node.attr("value")
    if int(np.prod(arguments[0], dtype=np.float64)) > SMALL:
        raise ValueError("too many")
    return np.full(arguments[0].astype(np.int64), 0 if fill is None else np.asarray(fill.numpy()).item())


def _range(node: NodeView, arguments: Sequence[Array]) -> Array:
    start, stop, step = (argument.item() for argument in arguments)
    if step == 0 or abs((stop - start) / step) > SMALL:
        raise ValueError("too many")
    return np.arange(start, stop, step)


def _product(node: NodeView, arguments: Sequence[Array]) -> Array:
    kept = bool(node.attr("keepdims", 1))
    return np.prod(arguments[0]).reshape(1 if kept else ()).astype(arguments[0].dtype)


_COMPUTED: dict[str, Callable[[NodeView, Sequence[Array]], Any]] = {
    **{op: EVALUATE[op] for op in ("Abs", "Add", "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual")},
    **{op: EVALUATE[op] for op in ("Max", "Min", "Mul", "Neg", "Not", "Sqrt", "Sub", "Where")},
    "And": lambda node, given: np.logical_and(*given),
    "Cast": lambda node, given: given[0].astype(ir.DataType(node.attr("to")).numpy()),
    "Ceil": lambda node, given: np.ceil(given[0]),
    "ConstantOfShape": _constant_of_shape,
    "Div": _divide,
    "Equal": lambda node, given: np.equal(*given),
    "Floor": lambda node, given: np.floor(given[0]),
    "Mod": lambda node, given: np.mod(*given),
    "Or": lambda node, given: np.logical_or(*given),
    "Range": _range,
    "ReduceProd": _product,
}
