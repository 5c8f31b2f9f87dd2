"""Functions and normalisations over the neurons of a layer that are written out: told by what they compute.

They are no functions of one neuron, so that a grid of values does not tell them (`patterns`); values of several neurons
that differ do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.activation_functions import OPERATORS, Function
from wua_onnx.layers.axes import readers
from wua_onnx.layers.fitted import TOLERANCE
from wua_onnx.layers.function_values import ROUGH_TOLERANCE, Form
from wua_onnx.layers.patterns import MOST_NEURONS, REDUCED, results
from wua_onnx.layers.walk import Array, Walk, along_neurons
from wua_onnx.model.node import NodeView

_POINTS = 5
_NEAR = 2  # operators between the neurons and the first that reduces them


def _softmax(x: Array, beside: float = 0.0) -> Array:
    powers = np.exp(x)
    return np.asarray(powers / (beside + powers.sum(axis=1, keepdims=True)))


def _centred(x: Array) -> Array:
    return np.asarray(x - x.mean(axis=1, keepdims=True))


def _over_root_mean_square(x: Array) -> Array:
    return np.asarray(x / np.sqrt(np.square(x).mean(axis=1, keepdims=True)))


FUNCTIONS: tuple[Form, ...] = (
    Form(OPERATORS["Softmax"], "exp(x) / Σ exp(x), the sum over the neurons", lambda x, _: _softmax(x)),
    Form(OPERATORS["LogSoftmax"], "x − ln Σ exp(x), the sum over the neurons", lambda x, _: np.log(_softmax(x))),
    Form(
        Function("Softmax, off by one", non_negative=True),
        "exp(x) / (1 + Σ exp(x)), the sum over the neurons",
        lambda x, _: _softmax(x, 1.0),
    ),
)
NORMALISATIONS: tuple[Callable[[Array], Array], ...] = (
    _centred,
    lambda x: _over_root_mean_square(_centred(x)),
    _over_root_mean_square,
    lambda x: x / np.sqrt(np.square(x).sum(axis=1, keepdims=True)),
)


def written_function(walk: Walk) -> tuple[ir.Value, Function] | None:
    """Return (where it ends, which it is) for the longest function of the neurons; None where none follows."""
    found: tuple[ir.Value, Function] | None = None
    for value, which in _told(walk, [partial(_values, form) for form in FUNCTIONS]):
        found = value, FUNCTIONS[which].function
    return found


def written_normalisation(walk: Walk) -> ir.Value | None:
    """Return where the longest normalisation of the neurons ends, before its scale and shift; None where none is."""
    found: ir.Value | None = None
    for value, _ in _told(walk, NORMALISATIONS):
        found = value
    return found


def _values(form: Form, x: Array) -> Array:
    return form.values(x, x)


def _told(walk: Walk, known: Sequence[Callable[[Array], Array]]) -> Iterator[tuple[ir.Value, int]]:
    """Yield each value that is one of `known` of the neurons, with the number of that one."""
    shape = walk.model.shape(walk.value)
    count = shape[walk.axes[0]] if shape is not None and len(walk.axes) == 1 else None
    if not isinstance(count, int) or count < 2 or not _is_reduced(walk):
        return
    x = _samples(min(count, MOST_NEURONS))
    tolerance = ROUGH_TOLERANCE if walk.value.dtype is ir.DataType.BFLOAT16 else TOLERANCE
    for value, values, _ in results(
        walk.value,
        walk.model,
        lambda node, index: along_neurons(node, index, walk),
        x,
        lambda node: _reduces(node, walk),
    ):
        if values is not None and values.shape == x.shape:
            yield from ((value, which) for which, wanted in enumerate(known) if _alike(values, wanted(x), tolerance))


def _alike(values: Array, expected: Array, tolerance: float) -> bool:
    return bool(np.max(np.abs(values - expected)) < tolerance * np.max(np.abs(expected)))


def _samples(neurons: int) -> Array:
    """Return some values of so many neurons, which are no two alike."""
    return np.asarray(np.random.default_rng(0).uniform(-3, 3, (_POINTS, neurons)))


def _is_reduced(walk: Walk) -> bool:
    """Return whether the neurons are reduced, directly or after an operator or two."""
    values = [walk.value]
    for _ in range(_NEAR + 1):
        nodes = [NodeView(use.node, walk.model) for value in values for use in readers(value)]
        if any(node.op_type in REDUCED and _reduces(node, walk) for node in nodes):
            return True
        values = [output for node in nodes for output in node.node.outputs]
    return False


def _reduces(node: NodeView, walk: Walk) -> bool:
    """Return whether `node` reduces over the neurons, and keeps their axis."""
    value, rank = node.input(0), len(walk.value.shape or ())
    if value is None or len(value.shape or ()) != rank or not node.attr("keepdims", 1):
        return False
    given = node.attr("axes") or node.const(1)
    axes = tuple(int(axis) % rank for axis in np.ravel(given)) if given is not None else ()
    return axes == walk.axes
