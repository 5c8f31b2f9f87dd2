"""What recurrent weights are multiplied with, computed beside the operator, which keeps it to itself.

R meets the state before each step: the initial state, and every state of its direction but the last one. W meets the
input at the valid steps alone. Both are sequences with zeros where a step is not valid; their order along time does
not matter to a norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.side import Side, Writer, graph_of
from wua_onnx.model.node import NodeView

_SINCE = 13  # opset from which Unsqueeze takes its axes as an input; Slice and Range did so before
_LENGTHS, _INITIAL = 4, 5


def valid_input(node: NodeView) -> Side | None:
    """Return the input of a recurrent operator with zeros after the valid steps; None where it is as it comes in."""
    sequence, lengths = node.input(0), node.input(_LENGTHS)
    if sequence is None or lengths is None or not _is_known(node, sequence, 3):
        return None
    steps = _Steps(batch_first=bool(node.attr("layout", 0)), dtype=sequence.dtype, rank=3)
    return Side(value=_like(sequence), axes=(2,), inputs=(sequence, lengths), compute=steps.valid)


def states_before(node: NodeView, sequence: ir.Value, backward: Sequence[bool]) -> Side | None:
    """Return the states that enter the steps, of the shape of the hidden `sequence`; None where it cannot be told.

    Args:
        node: LSTM, GRU or RNN.
        sequence: its hidden sequence, with its shape.
        backward: of each direction, whether its steps run from the end.
    """
    if not _is_known(node, sequence, 4):
        return None
    batch_first = bool(node.attr("layout", 0))
    steps = _Steps(batch_first=batch_first, dtype=sequence.dtype, rank=4, backward=tuple(backward))
    inputs = (sequence, node.input(_LENGTHS), node.input(_INITIAL))
    return Side(value=_like(sequence), axes=(2, 3) if batch_first else (1, 3), inputs=inputs, compute=steps.before)


def _is_known(node: NodeView, value: ir.Value, rank: int) -> bool:
    opset = node.model.ir_model.opset_imports.get("", _SINCE)
    return opset >= _SINCE and value.dtype is not None and value.shape is not None and len(value.shape) == rank


def _like(value: ir.Value) -> ir.Value:
    return ir.Value(name=None, shape=value.shape, type=value.type)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """A sequence of a recurrent operator: [steps, (directions,) samples, ...], samples first where `batch_first`."""

    batch_first: bool
    dtype: ir.DataType | None
    rank: int
    backward: tuple[bool, ...] = ()

    @property
    def time(self) -> int:
        return int(self.batch_first)

    @property
    def samples(self) -> int:
        return 0 if self.batch_first else self.rank - 2

    def valid(self, writer: Writer, inputs: Sequence[ir.Value | None]) -> ir.Value:
        """Return a sequence with zeros from each sample's length on."""
        sequence, lengths = inputs
        assert sequence is not None
        assert lengths is not None
        return self._shortened(writer, sequence, sequence, lengths, 0)

    def before(self, writer: Writer, inputs: Sequence[ir.Value | None]) -> ir.Value:
        """Return the states before each step, all directions."""
        sequence, lengths, initial = inputs
        assert sequence is not None
        parts = [self._of(writer, d, sequence, lengths, initial) for d in range(len(self.backward))]
        return parts[0] if len(parts) == 1 else self._typed(writer.op("Concat", parts, axis=self.time + 1))

    def _of(
        self, writer: Writer, direction: int, sequence: ir.Value, lengths: ir.Value | None, initial: ir.Value | None
    ) -> ir.Value:
        """Return the states before each step of one direction: the initial one in the place of the last."""
        graph, backward = graph_of(sequence), self.backward[direction]
        own = self._part(writer, sequence, direction, self.time + 1)
        if lengths is not None and not backward:  # backwards the last state is the first of the sequence
            own = self._shortened(writer, own, sequence, lengths, 1)
        start, end = (1, 2**31 - 1) if backward else (0, -1)
        others = self._typed(writer.op("Slice", [own, *(writer.integers([n], graph) for n in (start, end, self.time))]))
        if initial is None:
            never = writer.constant(np.zeros((), np.bool_), graph)
            first = self._where(writer, never, self._part(writer, own, 0, self.time))
        else:
            given = self._part(writer, initial, direction, self.time, graph)
            first = self._typed(writer.op("Unsqueeze", [given, writer.integers([self.time], graph)], graph))
        both = [others, first] if backward else [first, others]
        return self._typed(writer.op("Concat", both, graph, axis=self.time))

    def _part(self, writer: Writer, value: ir.Value, index: int, axis: int, graph: ir.Graph | None = None) -> ir.Value:
        """Return `value` at one place along an axis, which stays."""
        graph = graph_of(value) if graph is None else graph
        return self._typed(writer.op("Gather", [value, writer.integers([index], graph)], graph, axis=axis))

    def _shortened(self, writer: Writer, value: ir.Value, sequence: ir.Value, lengths: ir.Value, by: int) -> ir.Value:
        """Return `value` with zeros from each sample's length, less `by` steps, on."""
        graph = graph_of(sequence)
        count = writer.op("Gather", [writer.op("Shape", [sequence]), writer.integers([self.time], graph)])
        scalar = writer.op("Reshape", [count, writer.integers([], graph)])
        bounds = [writer.constant(np.array(number, np.int64), graph) for number in (0, 1)]
        steps = writer.op("Range", [bounds[0], scalar, bounds[1]], graph)
        limits = self._cast(writer, lengths, graph)
        if by:
            limits = writer.op("Sub", [limits, writer.integers([by], graph)], graph)
        inside = writer.op(
            "Less",
            [
                writer.op("Reshape", [steps, writer.integers(self._along(self.time), graph)], graph),
                writer.op("Reshape", [limits, writer.integers(self._along(self.samples), graph)], graph),
            ],
            graph,
        )
        return self._where(writer, inside, value)

    def _cast(self, writer: Writer, value: ir.Value, graph: ir.Graph | None) -> ir.Value:
        result: ir.Value = writer.op("Cast", [value], graph, to=int(ir.DataType.INT64))
        result.dtype = ir.DataType.INT64
        return result

    def _along(self, axis: int) -> list[int]:
        return [-1 if i == axis else 1 for i in range(self.rank)]

    def _where(self, writer: Writer, condition: ir.Value, value: ir.Value) -> ir.Value:
        condition.dtype = ir.DataType.BOOL
        assert self.dtype is not None
        zero = writer.constant(np.zeros((), self.dtype.numpy()), graph_of(value))
        return self._typed(writer.op("Where", [condition, value, zero], graph_of(value)))

    def _typed(self, value: Any) -> ir.Value:
        assert isinstance(value, ir.Value)
        assert self.dtype is not None
        value.dtype = self.dtype
        return value
