"""LSTM, GRU and RNN. Canonical weights: (gates, hidden, in), both directions side by side along hidden.

Input weights W, recurrent weights R and peepholes P (gates, hidden) are layers of their own; the neurons of each are
the hidden units, read in the hidden sequence over the valid steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.layer import Arrangement, Array, Features, Use
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.weights import resolve
from wua_onnx.model.graph import NodeView

# The names of the weights, by input, and the names of the gates in the order of the specification.
PARAMETERS = {1: "W", 2: "R", 7: "P"}
GATES = {"LSTM": ("input", "output", "forget", "cell"), "GRU": ("update", "reset", "hidden"), "RNN": ("hidden",)}
PEEPHOLES = ("input", "output", "forget")
_LENGTHS = 4


@layer_kind("LSTM")
@layer_kind("GRU")
@layer_kind("RNN")
def recurrent(node: NodeView) -> Iterator[Use | str]:
    """https://onnx.ai/onnx/operators/onnx__LSTM.html, GRU and RNN likewise."""
    for index, parameter in PARAMETERS.items():
        if node.input(index) in node.model.constants:
            yield _use(node, index, parameter)


def _use(node: NodeView, index: int, parameter: str) -> Use | str:
    source = resolve(node.input(index), node.model)
    if isinstance(source, str):
        return source
    names = PEEPHOLES if parameter == "P" else GATES[node.op_type]
    gates = len(names)
    directions, hidden = source.shape[0], source.shape[1] // gates
    if len(source.shape) != (2 if parameter == "P" else 3) or hidden * gates != source.shape[1]:
        return f"expected gates of {gates} times the hidden size, got a weight of shape {list(source.shape)}"
    inner = source.shape[2:]
    batch_first, lengths = bool(node.attr("layout", 0)), node.input(_LENGTHS)
    return Use(
        node=node,
        kind="recurrent",
        source=source,
        arrangement=Arrangement(
            (directions, gates, hidden, *inner),
            (1, 0, 2, *range(3, 3 + len(inner))),
            (gates, directions * hidden, *inner),
        ),
        neuron_axis=1,
        output=_sequence(node, directions, hidden, batch_first),
        output_axes=(2, 3) if batch_first else (1, 3),
        reads="output",
        valid=None if lengths is None else (lengths, int(batch_first)),
        features=_features(node, parameter, directions, batch_first),
        parameter=parameter,
        gates=names,
    )


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


def _features(node: NodeView, parameter: str, directions: int, batch_first: bool) -> Features | None:
    """Return what W is multiplied with, the input, and R, the hidden sequence (but for its last step)."""
    sequence = node.input(0)
    if parameter == "W" and sequence is not None:
        return Features(value=sequence, axes=(2,), spread=_same_for_all)
    if parameter == "R":
        axes = (2, 3) if batch_first else (1, 3)
        return Features(value=node.node.outputs[0], axes=axes, spread=partial(_own_direction, directions=directions))
    return None


def _same_for_all(features: Array) -> Array:
    return features.reshape(1, 1, -1)


def _own_direction(features: Array, directions: int) -> Array:
    """Return (1, directions · hidden, hidden): every unit reads the hidden state of its own direction."""
    per_direction = features.reshape(directions, 1, -1)
    hidden = per_direction.shape[2]
    return np.broadcast_to(per_direction, (directions, hidden, hidden)).reshape(1, directions * hidden, hidden)
