"""What the operators of one step of a recurrence compute, on random numbers.

Products with constants and states are random, a number for each column, the same for all samples. Constant shifts
along the columns are biases, which only shift a gate; they are left out, and so are peepholes, which shift it by a
state times a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.choices import beside_a_mask
from wua_onnx.layers.draws import Draws, elementwise, line_of
from wua_onnx.layers.gate_products import COPIES, GateProduct, moved_from
from wua_onnx.layers.moves import LIMIT, MOVES, Unmoved, data_inputs, moved
from wua_onnx.layers.step_graph import SUMS, Graph, is_elementwise
from wua_onnx.layers.weights import read, resolve
from wua_onnx.model.node import SMALL, NodeView

Array: TypeAlias = np.ndarray[Any, Any]

_DRAWS = 6
_MOST = 2**20  # elements of a value that is copied; numbers along one axis are views of any size up to `LIMIT`
_SEQUENCE = 3  # axes
_MOST_OF_IMAGES = 2**16  # elements of what has more axes
_VIEWS = frozenset({"Expand", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})
_MOST_DEPTH = 12  # operators between a product and the step, on the side of the input


class StepValues:
    """The values of one step, by what they are computed from.

    Args:
        graph: what steps share.
        operand: what one of the products of this step multiplies.
        mask: what booleans from outside of the step are taken for.

    Attributes:
        masked: whether there are such booleans.
        known: what has been evaluated, shape of the value.
        states: those among them that no product leads to: the states before, as far as they are looked at.
    """

    def __init__(self, graph: Graph, operand: ir.Value, *, mask: bool) -> None:
        self.graph, self.model, self._common, self._mask = graph, graph.model, operand, mask
        self.masked = False
        self.known: dict[ir.Value, Draws] = {}
        self.states: dict[ir.Value, Draws] = {}
        self._random = np.random.default_rng(0)

    def evaluate(self, node: NodeView) -> bool:
        """Evaluate an operator; return whether it can be."""
        try:
            self.known |= self._computed(node, 0)
        except Unmoved:
            return False
        return True

    def draw(self, product: GateProduct) -> None:
        """Give the result of `product` random numbers.

        Raises:
            Unmoved: it is too large, or its shape is unknown.
        """
        output = product.node.outputs[0]
        self.known[output] = self._drawn(output, product.axis, product.columns.size)

    def _computed(self, node: NodeView, depth: int) -> dict[ir.Value, Draws]:
        """Return the results of an elementwise operator, or of one that only moves elements."""
        if not is_elementwise(node):
            raise Unmoved(f"{node.where} is not elementwise")
        if node.op_type in COPIES:
            return {node.node.outputs[0]: self._value(node.node.inputs[0], depth)}
        if node.op_type in MOVES:
            operands = [self._value(node.node.inputs[index], depth) for index in data_inputs(node)]
            return {
                output: tuple(self._moved(node, place, draws) for draws in zip(*operands, strict=True))
                for place, output in enumerate(node.node.outputs)
            }
        operands = [self._operand(node, value, depth) for value in node.node.inputs if value is not None]
        try:
            return {node.node.outputs[0]: tuple(elementwise(node, draws) for draws in zip(*operands, strict=True))}
        except (TypeError, ValueError) as error:
            raise Unmoved(f"{node.where} does not fit its operands") from error

    def _moved(self, node: NodeView, output: int, arrays: Sequence[Array]) -> Array:
        numbers = self.graph.sizes.numbers_of(node)
        most = _MOST if arrays[0].ndim <= _SEQUENCE else _MOST_OF_IMAGES
        if node.op_type not in _VIEWS and sum(array.size for array in arrays) > most:
            raise Unmoved(f"{node.where} copies more than {most:,} elements")
        if node.op_type == "Gather" and numbers(1) is None:  # the step of a loop: all are alike
            indices = node.input(1)
            rank = len(indices.shape) if indices is not None and indices.shape is not None else 1
            if rank > 1:
                raise Unmoved(f"{node.where} gathers what cannot be told")
            return np.take(arrays[0], 0 if rank == 0 else [0], node.attr("axis", 0))
        return moved(node, output, arrays, numbers)

    def _operand(self, node: NodeView, value: ir.Value, depth: int) -> Draws:
        """Return an operand of an elementwise operator; biases and peepholes are 0, and so are initial states."""
        shape = self.graph.sizes.shape(value)
        if shape is not None and node.op_type in SUMS and self._is_peephole(value, node):
            return (np.zeros(shape),) * _DRAWS
        if value in self.model.constants and shape is not None and np.prod(shape) > 1:
            if node.op_type in SUMS:
                return (np.zeros(shape),) * _DRAWS
            if node.op_type == "Mul" and len(shape) > 1:  # an initial state
                return self._state(value)
        return self._value(value, depth)

    def _is_peephole(self, value: ir.Value, node: NodeView) -> bool:
        """Return whether `value`, an operand of the sum `node`, is a product with constants that shifts a gate."""
        producer = value.producer()
        if producer is None or producer.domain or producer.op_type != "Mul":
            return False
        shapes = [self.graph.sizes.shape(each) for each in producer.inputs if each in self.model.constants]
        others = [each for each in node.node.inputs if each is not None and each is not value]
        along_units = any(shape is not None and np.prod(shape) > 1 for shape in shapes)
        return along_units and any(self.graph.leads_to_a_product(each) for each in others)

    def _value(self, value: ir.Value | None, depth: int) -> Draws:
        """Return what is known of a value; random numbers for a state that is not."""
        if value is None:
            raise Unmoved("an operand is left out")
        if value not in self.known:
            self.known[value] = self._found(value, depth)
        return self.known[value]

    def _found(self, value: ir.Value, depth: int) -> Draws:
        producer = value.producer()
        if value in self.model.constants:
            return self._constant(value)
        if producer is not None and producer in self.graph.products:
            self.draw(self.graph.products[producer])
            return self.known[value]
        if value in self.graph.scanned:
            outer, axis = self.graph.scanned[value]
            if self.graph.leads_to_a_product(outer):
                return tuple(np.take(array, 0, axis) for array in self._value(outer, depth + 1))
        if producer is not None and depth < _MOST_DEPTH:
            leads = self.graph.leads_to_a_product(value) or self.graph.is_computed_with(value, self._common)
            chooses = beside_a_mask(value) is not None or (producer.op_type == "Not" and not producer.domain)
            if leads or chooses or moved_from(value) is not value:
                found = self._computed(NodeView(producer, self.model), depth + 1)[value]
                if not (leads or chooses):
                    self.states[value] = found
                return found
        return self._state(value)

    def _constant(self, value: ir.Value) -> Draws:
        source = resolve(value, self.model)
        if isinstance(source, str):
            raise Unmoved(source)
        size = int(np.prod(source.shape, dtype=np.int64))
        array = np.asarray(read(source, self.model), np.float64) if size <= SMALL else np.zeros(source.shape)
        return (array,) * _DRAWS

    def _state(self, value: ir.Value) -> Draws:
        """Return random numbers along the axis where units lie; 1 for what has one element."""
        shape = self.graph.sizes.shape(value)
        if shape is None:
            raise Unmoved("the shape of a state is unknown")
        if value.dtype == ir.DataType.BOOL:
            self.masked = True
            return (np.broadcast_to(float(self._mask), shape),) * _DRAWS
        axis = self._axis_of_units(value, shape)
        if not shape or shape[axis] == 1:
            return (np.ones(shape),) * _DRAWS
        self.states[value] = self._drawn(value, axis, shape[axis])
        return self.states[value]

    def _axis_of_units(self, value: ir.Value, shape: tuple[int, ...]) -> int:
        """Return the axis along which varies what a state is multiplied with, the last where that is not known."""
        beside = (other for use in value.uses() if use.node.op_type == "Mul" for other in use.node.inputs)
        lines = [line_of(self.known[other]) for other in beside if other in self.known and other is not value]
        axes = {line[0] for line in lines if line is not None and line[0] < len(shape)}
        return axes.pop() if len(axes) == 1 else len(shape) - 1

    def _drawn(self, value: ir.Value, axis: int, columns: int) -> Draws:
        shape = self.graph.sizes.shape(value)
        if shape is None or axis >= len(shape) or np.prod(shape, dtype=np.float64) > LIMIT:
            raise Unmoved("a value is too large to be evaluated, or of unknown shape")
        along = [columns if place == axis else 1 for place in range(len(shape))]
        whole = [columns if place == axis else size for place, size in enumerate(shape)]
        draws = self._random.normal(0, 1.5, (_DRAWS, columns))
        return tuple(np.broadcast_to(draw.reshape(along), whole) for draw in draws)
