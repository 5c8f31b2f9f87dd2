"""Activation functions told by their values on a grid, whatever operators compute them.

`KNOWN` are functions without parameters, `FAMILIES` those with parameters, which are read off the values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.layers.activation_functions import OPERATORS, Function, clip
from wua_onnx.layers.elementwise import elu, gelu_tanh, normal_cdf, sigmoid, softplus

Array: TypeAlias = np.ndarray[Any, Any]

# Where decompositions are looked at: both tails, the bends of the functions below, and no point exactly on a bend.
GRID: Array = np.concatenate([np.linspace(-7.93, 7.97, 54), [-0.041, 0.043], [-25.1, 25.3]]).reshape(-1, 1)
_LOWEST, _HIGHEST = -2, -1  # the rows of GRID that hold its ends
TOLERANCE = 2e-4  # half precision constants move GELU by 3e-5; its exact and its tanh form are 4.7e-4 apart
ROUGH_TOLERANCE = 4e-3  # constants in bfloat16, which has 8 bits, are wrong by up to 1/512


TORCHSCRIPT, DYNAMO, TF2ONNX = "TorchScript", "dynamo", "tf2onnx"


@dataclass(frozen=True, slots=True)
class Form:
    """A function that is known by its values.

    Attributes:
        function: which it is.
        formula: in terms of x and the names of its parameters.
        values: returns its values where x and the values of the function in question are given, each of shape
            (points, neurons) or (points, 1); a parameter is what the latter say. NaN where they fit no parameter.
        written_by: the exporters seen to write it as several operators: PyTorch's two, and tf2onnx.
    """

    function: Function
    formula: str
    values: Callable[[Array, Array], Array]
    written_by: tuple[str, ...] = ()


def _known(function: Function, formula: str, values: Callable[[Array], Array], *written_by: str) -> Form:
    return Form(function, formula, lambda x, given: np.asarray(values(x)), written_by)


KNOWN: tuple[Form, ...] = (
    _known(OPERATORS["Relu"], "max(x, 0)", lambda x: np.maximum(x, 0)),
    _known(Function("ReLU6", non_negative=True, smooth=False), "min(max(x, 0), 6)", lambda x: np.clip(x, 0, 6)),
    _known(
        Function("ReLU squared", non_negative=True, smooth=False),
        "max(x, 0)²",
        lambda x: np.square(np.maximum(x, 0)),
    ),
    _known(OPERATORS["Swish"], "x · sigmoid(x)", lambda x: x * sigmoid(x), TORCHSCRIPT, DYNAMO, TF2ONNX),
    _known(OPERATORS["Gelu"], "x · (1 + erf(x / √2)) / 2", lambda x: x * normal_cdf(x), TORCHSCRIPT, DYNAMO, TF2ONNX),
    _known(
        OPERATORS["FastGelu"], "x · (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2", gelu_tanh, TORCHSCRIPT, DYNAMO, TF2ONNX
    ),
    _known(OPERATORS["QuickGelu"], "x · sigmoid(1.702 x)", lambda x: x * sigmoid(1.702 * x)),
    _known(
        OPERATORS["HardSwish"],
        "x · min(max(x/6 + 1/2, 0), 1)",
        lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
        TORCHSCRIPT,
        TF2ONNX,
    ),
    _known(OPERATORS["HardSigmoid"], "min(max(x/6 + 1/2, 0), 1)", lambda x: np.clip(x / 6 + 0.5, 0, 1), TF2ONNX),
    _known(OPERATORS["HardSigmoid"], "min(max(x/5 + 1/2, 0), 1)", lambda x: np.clip(x / 5 + 0.5, 0, 1)),
    _known(OPERATORS["HardSigmoid"], "min(max(x/2 + 1/2, 0), 1)", lambda x: np.clip(x / 2 + 0.5, 0, 1), TF2ONNX),
    _known(OPERATORS["Sigmoid"], "1 / (1 + exp(−x))", sigmoid),
    _known(OPERATORS["Tanh"], "tanh(x)", np.tanh),
    _known(OPERATORS["Softsign"], "x / (1 + |x|)", lambda x: x / (1 + np.abs(x)), TORCHSCRIPT, DYNAMO),
    _known(
        OPERATORS["Selu"],
        "1.0507 · ELU(x) with α = 1.6733",
        lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772),
    ),
    _known(OPERATORS["Mish"], "x · tanh(ln(1 + exp(x)))", lambda x: x * np.tanh(softplus(x)), TORCHSCRIPT, TF2ONNX),
    _known(Function("LogSigmoid"), "ln(sigmoid(x))", lambda x: -softplus(-x), TORCHSCRIPT, DYNAMO, TF2ONNX),
    _known(Function("Tanhshrink"), "x − tanh(x)", lambda x: x - np.tanh(x), TORCHSCRIPT, DYNAMO, TF2ONNX),
    _known(
        Function("Sparse plus", non_negative=True, smooth=False),
        "0 below −1, (x + 1)²/4, x above 1",
        lambda x: np.where(x < 1, np.square(np.maximum(x + 1, 0)) / 4, x),
        TF2ONNX,
    ),
    _known(OPERATORS["Abs"], "|x|", np.abs),
    _known(Function("Square", non_negative=True), "x²", np.square),
    _known(OPERATORS["Exp"], "exp(x)", np.exp),
)


def _sloped(x: Array, given: Array) -> Array:
    slope = given[_LOWEST] / x[_LOWEST]
    is_identity = bool((np.abs(slope - 1) < TOLERANCE).all())
    return np.full_like(given, np.nan) if is_identity else np.where(x < 0, slope * x, x)


def _leaky(x: Array, given: Array) -> Array:
    slope = given[_LOWEST] / x[_LOWEST]
    return _sloped(x, given) if np.ptp(slope) < TOLERANCE else np.full_like(given, np.nan)


def _clipped(x: Array, given: Array) -> Array:
    """Values that are x somewhere, and constant above or below that; what is cut off is more than a rounding."""
    low = np.where(given[_LOWEST] - x[_LOWEST] > 0.1, given[_LOWEST], -np.inf)
    high = np.where(x[_HIGHEST] - given[_HIGHEST] > 0.1, given[_HIGHEST], np.inf)
    inside = (x > low) & (x < high)
    is_cut = np.isfinite(low) | np.isfinite(high)
    return np.where(is_cut & (inside.sum(axis=0) > 1), np.clip(x, low, high), np.nan)


def _swish(x: Array, given: Array) -> Array:
    at = np.abs(x[:, 0] - 1).argmin()
    share = given[at] / x[at]
    return np.asarray(x * sigmoid(np.log(share / (1 - share)) / x[at] * x))


def _softplus(x: Array, given: Array) -> Array:
    """Bisect beta, from 1/20 to 20, beyond which it is a ReLU: ln(1 + exp(beta x)) / beta falls as beta rises."""
    at = np.abs(x[:, 0] + 1).argmin()
    low, high = np.full_like(given[at], 1 / 20), np.full_like(given[at], 20)
    for _ in range(50):
        beta = np.sqrt(low * high)
        above = softplus(beta * x[at]) / beta > given[at]
        low, high = np.where(above, beta, low), np.where(above, high, beta)
    return np.asarray(softplus(beta * x) / beta)


def _celu(x: Array, given: Array) -> Array:
    alpha = -given[_LOWEST]
    return np.asarray(np.where(alpha > 0, np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha), np.nan))


def _elu(x: Array, given: Array) -> Array:
    alpha = -given[_LOWEST]
    return np.where(alpha > 0, np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), np.nan)


def _soft_shrink(x: Array, given: Array) -> Array:
    width = x[_HIGHEST] - given[_HIGHEST]
    return np.where(width > 0, np.sign(x) * np.maximum(np.abs(x) - width, 0), np.nan)


def _hard_shrink(x: Array, given: Array) -> Array:
    width = np.where(np.abs(given) < TOLERANCE, np.abs(x), -np.inf).max(axis=0)
    return np.where(width > 0, np.where(np.abs(x) > width, x, 0), np.nan)


def _threshold(x: Array, given: Array) -> Array:
    below = np.where(np.abs(given - x) > TOLERANCE, x, -np.inf).max(axis=0)
    return np.where(np.isfinite(below), np.where(x <= below, given[_LOWEST], x), np.nan)


def _thresholded_relu(x: Array, given: Array) -> Array:
    return np.where(np.abs(given[_LOWEST]) < TOLERANCE, _threshold(x, given), np.nan)


def _squareplus(x: Array, given: Array) -> Array:
    at = np.abs(x[:, 0] - 1).argmin()
    room = 4 * given[at] * (given[at] - x[at])
    return np.asarray(np.where(room > 0, (x + np.sqrt(x * x + room)) / 2, np.nan))


# The first that fits counts.
FAMILIES: tuple[Form, ...] = (
    Form(OPERATORS["LeakyRelu"], "x, and s x below 0", _leaky),
    Form(OPERATORS["PRelu"], "x, and s x below 0 with a slope s of each neuron", _sloped, (TF2ONNX,)),
    Form(OPERATORS["Clip"], "min(max(x, a), b)", _clipped, (TF2ONNX,)),
    Form(OPERATORS["Elu"], "x, and α (exp(x) − 1) below 0", _elu, (TF2ONNX,)),
    Form(OPERATORS["Celu"], "x, and α (exp(x/α) − 1) below 0", _celu),
    Form(OPERATORS["Softplus"], "ln(1 + exp(β x)) / β", _softplus, (TORCHSCRIPT, DYNAMO)),
    Form(Function("Swish"), "x · sigmoid(β x)", _swish),
    Form(Function("Squareplus", non_negative=True), "(x + √(x² + b)) / 2", _squareplus, (TF2ONNX,)),
    Form(OPERATORS["Shrink"], "sign(x) · max(|x| − λ, 0)", _soft_shrink, (TORCHSCRIPT, DYNAMO, TF2ONNX)),
    Form(OPERATORS["Shrink"], "x where |x| > λ, else 0", _hard_shrink, (TORCHSCRIPT, DYNAMO, TF2ONNX)),
    Form(OPERATORS["ThresholdedRelu"], "x where x > t, else 0", _thresholded_relu, (DYNAMO, TF2ONNX)),
    Form(Function("Threshold", smooth=False), "x where x > t, else v", _threshold, (DYNAMO, TF2ONNX)),
)


def identify(values: Array, tolerance: float = TOLERANCE) -> Function | None:
    """Return the function whose values on `GRID` are `values`, shape (points, neurons) or (points, 1)."""
    if not np.isfinite(values).all():
        return None
    expected = _expected()
    errors = np.max(np.abs(values.T[:, :, None] - expected) / (1 + np.abs(expected)), axis=(0, 1))
    best = int(errors.argmin())
    if errors[best] < tolerance:
        return KNOWN[best].function
    if _is_straight(values, tolerance):  # a bias or a scale is no function
        return None
    with np.errstate(all="ignore"):
        for family in FAMILIES:
            if _error(values, family.values(GRID, values)) < tolerance:  # not where a NaN is among them
                return family.function if family.function is not OPERATORS["Clip"] else clip(float(values.min()))
    return None


def _is_straight(values: Array, tolerance: float) -> bool:
    """Return whether `values` are a·x + b for every neuron."""
    slope = (values[_HIGHEST] - values[_LOWEST]) / (GRID[_HIGHEST] - GRID[_LOWEST])
    return _error(values, values[_LOWEST] + slope * (GRID - GRID[_LOWEST])) < tolerance


def _error(values: Array, expected: Array) -> float:
    return float(np.max(np.abs(values - expected) / (1 + np.abs(expected))))


@cache
def _expected() -> Array:
    """Return the values of the functions without parameters on `GRID`, shape (points, functions)."""
    return np.hstack([form.values(GRID, GRID) for form in KNOWN])
