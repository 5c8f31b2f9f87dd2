"""Functions and normalisations over the neurons of a layer that are written out: told by what they compute.

They are no functions of one neuron, so that a grid of values does not tell them (`patterns`); values of several neurons
that differ do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.activation_functions import OPERATORS, Function
from wua_onnx.layers.axes import readers
from wua_onnx.layers.fitted import TOLERANCE
from wua_onnx.layers.function_values import ROUGH_TOLERANCE, Form
from wua_onnx.layers.patterns import MOST_NEURONS, REDUCED, results
from wua_onnx.layers.walk import Array, Walk, along_neurons
from wua_onnx.model.node import NodeView

_POINTS = 7
_MOST = 2**13  # neurons of a normalisation
_FAR = 3000.0  # where the number that keeps a normalisation from dividing by 0 is lost
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
# Up to a scale and a shift of each neuron.
NORMALISATIONS: tuple[Callable[[Array], Array], ...] = (
    _centred,
    lambda x: _over_root_mean_square(_centred(x)),
    _over_root_mean_square,
    lambda x: x / np.sqrt(np.square(x).sum(axis=1, keepdims=True)),
)


def written_function(walk: Walk) -> tuple[ir.Value, Function] | None:
    """Return (where it ends, which it is) for the longest function of the neurons; None where none follows."""
    found: tuple[ir.Value, Function] | None = None
    for value, x, given, tolerance in _results(walk, _neurons(walk, MOST_NEURONS), 3.0):
        for form in FUNCTIONS:
            if _alike(given, form.values(x, given), tolerance):
                found = value, form.function
    return found


def written_normalisation(walk: Walk) -> tuple[ir.Value, Array] | None:
    """Return (where it ends, its scale of each neuron) for the longest normalisation; None where none follows."""
    found: tuple[ir.Value, Array] | None = None
    neurons = _neurons(walk, _MOST + 1)
    for value, x, given, tolerance in _results(walk, neurons if neurons <= _MOST else 0, _FAR):
        scales = [_scale(given, compute(x), tolerance) for compute in NORMALISATIONS]
        fitting = [scale for scale in scales if scale is not None]
        if fitting:  # lengths are roots of mean squares up to a number: what needs no scale is meant
            found = value, min(fitting, key=lambda scale: bool(np.any(scale != 1)))
    return found


def _scale(given: Array, normalised: Array, tolerance: float) -> Array | None:
    """Return what each neuron of `normalised` is multiplied with in `given`, beside a shift; None where it is not."""
    level, mean = normalised - normalised.mean(axis=0), given.mean(axis=0)
    size = np.square(level).sum(axis=0)
    scale = (level * given).sum(axis=0) / np.where(size > 0, size, 1)
    if not scale.any() or not _alike(given, mean + scale * level, tolerance):
        return None
    return np.where(np.isclose(scale, 1, rtol=1e-8), 1.0, scale)


def _neurons(walk: Walk, most: int) -> int:
    """Return how many neurons there are, at most `most`; 0 where it is not known or they lie along several axes."""
    shape = walk.model.shape(walk.value)
    count = shape[walk.axes[0]] if shape is not None and len(walk.axes) == 1 else None
    return min(count, most) if isinstance(count, int) else 0


def _results(walk: Walk, neurons: int, reach: float) -> Iterator[tuple[ir.Value, Array, Array, float]]:
    """Yield (a value, what the neurons are at some points, what the value is there, the tolerance) behind the neurons.

    Args:
        walk: where the neurons are.
        neurons: how many are looked at.
        reach: the largest |x| at these points.
    """
    if neurons < 2 or not _is_reduced(walk):
        return
    x = np.random.default_rng(0).uniform(-reach, reach, (_POINTS, neurons))
    tolerance = ROUGH_TOLERANCE if walk.value.dtype is ir.DataType.BFLOAT16 else TOLERANCE
    behind = results(
        walk.value,
        walk.model,
        lambda node, index: along_neurons(node, index, walk),
        x,
        lambda node: _reduces(node, walk),
    )
    for value, at, _ in behind:
        if at is not None and at.shape == x.shape and np.isfinite(at).all():
            yield value, x, at, tolerance


def _alike(values: Array, expected: Array, tolerance: float) -> bool:
    return bool(np.max(np.abs(values - expected)) < tolerance * np.max(np.abs(expected)))


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
