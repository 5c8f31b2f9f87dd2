"""The cells of recurrent layers, as functions: which one turns gates and states into the next hidden state.

A cell that an exporter wrote out as elementwise operators is told by its values at random points, under each order of
the gates, as activation functions are. Formulas: https://onnx.ai/onnx/operators/onnx__LSTM.html, GRU and RNN likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations, product
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.layers.elementwise import elu, sigmoid

Array: TypeAlias = np.ndarray[Any, Any]
Function: TypeAlias = Callable[[Array], Array]

_TOLERANCE = 1e-5  # constants in single precision move a cell by 1e-7
_SEARCHED = 24  # points at which the orders of gates are told apart; what fits there must fit everywhere
_GATES: tuple[Function, ...] = (
    sigmoid,
    lambda x: np.clip(x / 5 + 0.5, 0, 1),
    lambda x: np.clip(x / 6 + 0.5, 0, 1),
    lambda x: sigmoid(x + 1),  # of a forget gate alone, see `_lstm`
)
_OUTPUTS: tuple[Function, ...] = (
    np.tanh,
    lambda x: np.maximum(x, 0),
    lambda x: x / (1 + np.abs(x)),
    lambda x: np.clip(x, -1, 1),
    sigmoid,
    elu,
)
# Of the new state and of what is shown of it, the same one for both first.
_PAIRS = sorted(product(_OUTPUTS[:4], repeat=2), key=lambda pair: pair[0] is not pair[1])
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """What a cell computes from, and what came out, at some points.

    Attributes:
        result: what may be the next hidden state, shape (points,).
        inputs: the gates' shares of what the input is multiplied with, shape (gates, points).
        hidden: the gates' shares of what the hidden state is multiplied with, shape (gates, points); none in a first
            step that has no state before it, and where one product is of both.
        states: what may be the states before, each of shape (points,).
        reset: for a share that is no product with the state itself, what it is a product with; None where none is.
    """

    result: Array
    inputs: Array
    hidden: Array
    states: Sequence[Array]
    reset: Array | None = None

    def first(self, count: int) -> Points:
        """Return the first `count` of the points."""
        return Points(
            result=self.result[:count],
            inputs=self.inputs[:, :count],
            hidden=self.hidden[:, :count],
            states=[state[:count] for state in self.states],
            reset=None if self.reset is None else self.reset[:count],
        )


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell, and which share belongs to which gate.

    Attributes:
        op: LSTM, GRU or RNN.
        inputs, hidden: for each gate, in the order of ONNX, the number of its share.
    """

    op: str
    inputs: tuple[int, ...]
    hidden: tuple[int, ...]


def identify(points: Points, *, alike: bool) -> Cell | None:
    """Return the cell that computes `points.result`; None where it is none of those known.

    Args:
        points: what it is told by.
        alike: the shares of both kinds come in the same order, that of the columns of one weight.
    """
    op = next((op for op, gates in GATES.items() if gates == len(points.inputs)), None)
    if op is None or len(points.hidden) not in (0, len(points.inputs)) or not np.isfinite(points.result).all():
        return None
    few = points.first(_SEARCHED)
    for orders in _orders(len(points.inputs), len(points.hidden), alike):
        for computed in _CELLS[op](few, *orders):
            for chosen in np.flatnonzero(_fits(computed, few.result)):
                inputs, hidden = (order[chosen : chosen + 1] for order in orders)
                if any(_fits(every, points.result).any() for every in _CELLS[op](points, inputs, hidden)):
                    return Cell(op, tuple(map(int, inputs[0])), tuple(map(int, hidden[0])))
    return None


def _fits(computed: Array, result: Array) -> Array:
    """Return which of `computed`, shape (orders, points), is `result`."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray((np.abs(computed - result) <= _TOLERANCE * (1 + np.abs(result))).all(axis=1))


@cache
def _orders(inputs: int, hidden: int, alike: bool) -> tuple[tuple[Array, Array], ...]:
    """Return orders of the two kinds of shares, shape (orders, gates): first the same for both, then all others."""
    same = np.array(list(permutations(range(inputs))))
    if not hidden or inputs == 1:
        return ((same, same[:, :hidden]),)
    if alike:
        return ((same, same),)
    pairs = np.array(list(product(same, same)))
    return (same, same), (pairs[:, 0], pairs[:, 1])


def _shares(points: Points, inputs: Array, hidden: Array) -> tuple[Array, Array]:
    """Return both kinds of shares in each order, shape (gates, orders, points)."""
    of_input = np.moveaxis(points.inputs[inputs], 1, 0)
    return of_input, np.moveaxis(points.hidden[hidden], 1, 0) if hidden.size else np.zeros_like(of_input)


def _lstm(points: Points, inputs: Array, hidden: Array) -> Iterator[Array]:
    """`c = f c' + i tanh(g); h = o tanh(c)`, both functions others, too; gates: input, output, forget, cell."""
    if points.reset is not None:
        return
    of_input, of_hidden = _shares(points, inputs, hidden)
    i, o, f, g = of_input + of_hidden
    for (inner, outer), gate in product(_PAIRS, _GATES[:3]):
        for state, forget in product(points.states, (gate, _GATES[3]) if gate is sigmoid else (gate,)):
            yield gate(o) * outer(forget(f) * state + gate(i) * inner(g))


def _gru(points: Points, inputs: Array, hidden: Array) -> Iterator[Array]:
    """`n = tanh(x + r h); h = (1 - z) n + z h'`; gates: update, reset, hidden."""
    of_input, of_hidden = _shares(points, inputs, hidden)
    first = [] if hidden.size else [np.zeros_like(points.result)]
    # Without a product with the state, the reset gate still scales the bias.
    parts = [of_hidden[2]] if hidden.size else [*first, *points.states]
    for gate, function in product(_GATES[:3], _OUTPUTS[:4]):
        update, reset = gate(of_input[0] + of_hidden[0]), gate(of_input[1] + of_hidden[1])
        for part, state in product(parts, [*first, *points.states]):
            if points.reset is None:
                inner = function(of_input[2] + reset * part)
            else:
                inner = np.where(_fits(reset * state, points.reset)[:, None], function(of_input[2] + part), np.nan)
            yield (1 - update) * inner + update * state


def _rnn(points: Points, inputs: Array, hidden: Array) -> Iterator[Array]:
    """`h = f(x + h')`."""
    if points.reset is None:
        of_input, of_hidden = _shares(points, inputs, hidden)
        yield from (function(of_input[0] + of_hidden[0]) for function in _OUTPUTS)


_CELLS: dict[str, Callable[[Points, Array, Array], Iterator[Array]]] = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}
