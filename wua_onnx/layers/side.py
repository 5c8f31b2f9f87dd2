"""What an operator computes and keeps to itself, computed a second time beside it.

Some operators hold the projections of what they do: onnxruntime's Attention multiplies with a packed weight inside, and
no value of the graph is what its neurons make. A recording runs a copy of the model; a side computation is added to
that copy alone, reads what the operator reads and is read by taps only. The outputs of the model stay what they are;
the run costs what is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import onnx_ir as ir


class Writer(Protocol):
    """What adds operators to the copy of the model; `wua_onnx.recording.builder.Builder` is one."""

    def op(self, op: str, inputs: Sequence[ir.Value | None], graph: ir.Graph | None = None, **attributes: Any) -> Any:
        """Append an operator to `graph` (that of the first input by default) and return its result."""

    def integers(self, numbers: Sequence[int], graph: ir.Graph | None = None) -> ir.Value:
        """Return a Constant of int64."""

    def constant(self, array: Any, graph: ir.Graph | None = None) -> ir.Value:
        """Return a Constant that holds a NumPy array."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """A side computation.

    Attributes:
        value: stands for its result: a type and a shape, in no graph.
        axes: of the result, along which neurons lie.
        inputs: what it reads, None for what is left out; the first lies in the graph that it is computed in.
        compute: adds it, given what adds operators and the inputs in the copy; returns the result there.
    """

    value: ir.Value
    axes: tuple[int, ...]
    inputs: tuple[ir.Value | None, ...]
    compute: Callable[[Writer, Sequence[ir.Value | None]], ir.Value]


def placeholder(like: ir.Value, dtype: ir.DataType | None, *last: int) -> ir.Value | None:
    """Return a value of the shape of `like` with its last axis replaced by `last`; None where its rank is unknown."""
    if like.shape is None:
        return None
    shape = ir.Shape([*list(like.shape)[:-1], *last]) if last else like.shape
    return ir.Value(name=None, shape=shape, type=None if dtype is None else ir.TensorType(dtype))


def graph_of(value: ir.Value) -> ir.Graph | None:
    """Return the graph that computes `value`, or takes it as an input."""
    producer = value.producer()
    owner = producer.graph if producer is not None else value.graph
    return owner if isinstance(owner, ir.Graph) else None
