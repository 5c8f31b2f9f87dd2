"""LSTM, GRU and RNN. Canonical weights: (gates, hidden, in), both directions side by side along hidden.

Input weights W, recurrent weights R and peepholes P (gates, hidden) are layers of their own; the neurons of each are
the hidden units, read in the hidden sequence over the valid steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.dequantize import parameter, shape_of, unreadable
from wua_onnx.layers.entering import states_before, valid_input
from wua_onnx.layers.layer import Arrangement, Array, Features, Use
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.weights import resolve
from wua_onnx.model.node import NodeView

# The names of the weights, by input, and the names of the gates in the order of the specification.
PARAMETERS = {1: "W", 2: "R", 7: "P"}
_LSTM = ("input", "output", "forget", "cell")
GATES = {"LSTM": _LSTM, "GRU": ("update", "reset", "hidden"), "RNN": ("hidden",), "DynamicQuantizeLSTM": _LSTM}
PEEPHOLES = ("input", "output", "forget")
_LENGTHS = 4


@layer_kind("LSTM")
@layer_kind("GRU")
@layer_kind("RNN")
def recurrent(node: NodeView) -> Iterator[Use | str]:
    """https://onnx.ai/onnx/operators/onnx__LSTM.html, GRU and RNN likewise."""
    for index, name in PARAMETERS.items():
        if node.input(index) in node.model.constants:
            yield _use(node, index, name)


@layer_kind("DynamicQuantizeLSTM", domain="com.microsoft")
def quantized_lstm(node: NodeView) -> Iterator[Use | str]:
    """LSTM with weights of integers, stored as (directions, in, gates); a scale for all or for each row of a gate."""
    for index, name in PARAMETERS.items():
        if node.input(index) not in node.model.constants:
            continue
        if name == "P":
            yield _use(node, index, name)
            continue
        scale = 8 if name == "W" else 10
        found = _misfit(node, index, scale) or _use(node, index, name, inner_first=True)
        yield found if isinstance(found, str) else replace(found, decode=partial(_dequantized, scale=scale))


def _misfit(node: NodeView, weight: int, scale: int) -> str | None:
    """Return why the scales cannot be read, or do not fit the weight."""
    problem, shape = unreadable(node, scale, scale + 1), shape_of(node, weight)
    if problem is not None or not isinstance(shape, tuple) or len(shape) != 3 or not node.has(scale):
        return problem or "expected a weight of rank 3, and its scales"
    for index in (scale, scale + 1):
        if shape_of(node, index) not in (None, (), shape[:1], (shape[0], shape[2])):
            return f"expected scales for a weight of shape {list(shape)}, got {shape_of(node, index)}"
    return None


def _dequantized(stored: Array, node: NodeView, scale: int) -> Array:
    """`(q - zero) * scale`, for each direction, or for each of its columns."""
    steps, zeros = (parameter(node, index, 0.0) for index in (scale, scale + 1))
    steps, zeros = (each.reshape(each.shape[0], 1, -1) if each.ndim else each for each in (steps, zeros))
    return np.asarray((stored.astype(np.float32) - zeros) * steps)


def _use(node: NodeView, index: int, name: str, *, inner_first: bool = False) -> Use | str:
    source = resolve(node.input(index), node.model)
    if isinstance(source, str):
        return source
    names = PEEPHOLES if name == "P" else GATES[node.op_type]
    gates = len(names)
    along = 2 if inner_first else 1
    if len(source.shape) != (2 if name == "P" else 3) or source.shape[along] % gates:
        return f"expected gates of {gates} times the hidden size, got a weight of shape {list(source.shape)}"
    directions, hidden = source.shape[0], source.shape[along] // gates
    batch_first, lengths = bool(node.attr("layout", 0)), node.input(_LENGTHS)
    output = _sequence(node, directions, hidden, batch_first)
    return Use(
        node=node,
        kind="recurrent",
        source=source,
        arrangement=_arrangement(source.shape, gates, inner_first),
        neuron_axis=1,
        output=output,
        output_axes=(2, 3) if batch_first else (1, 3),
        reads="output",
        valid=None if lengths is None else (lengths, int(batch_first)),
        features=_features(node, name, output, batch_first, directions),
        parameter=name,
        gates=names,
    )


def _arrangement(shape: tuple[int, ...], gates: int, inner_first: bool) -> Arrangement:
    """Return how (directions, gates · hidden, in), or with the last two swapped, becomes canonical."""
    if inner_first:
        directions, inside, hidden = shape[0], shape[1], shape[2] // gates
        return Arrangement((directions, inside, gates, hidden), (2, 0, 3, 1), (gates, directions * hidden, inside))
    directions, hidden, inner = shape[0], shape[1] // gates, shape[2:]
    order = (1, 0, 2, *range(3, 3 + len(inner)))
    return Arrangement((directions, gates, hidden, *inner), order, (gates, directions * hidden, *inner))


def _sequence(node: NodeView, directions: int, hidden: int, batch_first: bool) -> ir.Value:
    """Return the hidden sequence Y, with its shape where the model left it out."""
    sequence, x = node.node.outputs[0], node.input(0)
    if sequence.shape is None and x is not None and x.shape is not None and len(x.shape) == 3:
        first, second = x.shape[0], x.shape[1]
        sequence.shape = ir.Shape(
            [first, second, directions, hidden] if batch_first else [first, directions, second, hidden]
        )
    if sequence.dtype is None and x is not None and x.dtype is not None:
        sequence.dtype = x.dtype
    return sequence


def _features(node: NodeView, parameter: str, output: ir.Value, batch_first: bool, directions: int) -> Features | None:
    """Return what W is multiplied with, the input, and R, the states before each step.

    GRU's hidden gate may meet the state after its reset gate (linear_before_reset 0): its norm is that before it.
    """
    sequence = node.input(0)
    if parameter == "W" and sequence is not None:
        return Features(value=sequence, axes=(2,), spread=_same_for_all, side=valid_input(node))
    if parameter == "R":
        axes = (2, 3) if batch_first else (1, 3)
        backward = (node.attr("direction", "forward") == "reverse", True)[:directions]
        spread = partial(_own_direction, directions=directions)
        return Features(value=output, axes=axes, spread=spread, side=states_before(node, output, backward))
    return None


def _same_for_all(features: Array) -> Array:
    return features.reshape(1, 1, -1)


def _own_direction(features: Array, directions: int) -> Array:
    """Return (1, directions · hidden, hidden): every unit reads the hidden state of its own direction."""
    per_direction = features.reshape(directions, 1, -1)
    hidden = per_direction.shape[2]
    return np.broadcast_to(per_direction, (directions, hidden, hidden)).reshape(1, directions * hidden, hidden)
