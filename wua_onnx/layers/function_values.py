"""Activation functions told by their values on a grid, whatever operators compute them.

`KNOWN` are functions without parameters, `FAMILIES` those with parameters, which are read off the values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.layers import fitted
from wua_onnx.layers.activation_functions import OPERATORS, Function, clip
from wua_onnx.layers.elementwise import elu, gelu_tanh, normal_cdf, sigmoid, softplus
from wua_onnx.layers.fitted import HIGHEST, LOWEST, TOLERANCE

Array: TypeAlias = np.ndarray[Any, Any]

# Where decompositions are looked at: both tails, the bends of the functions below, and no point exactly on a bend.
GRID: Array = np.concatenate([np.linspace(-7.93, 7.97, 54), [-0.041, 0.043], [-25.1, 25.3]]).reshape(-1, 1)
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
    _known(
        Function("ReLU cubed", non_negative=True, smooth=False), "max(x, 0)³", lambda x: np.power(np.maximum(x, 0), 3)
    ),
    _known(
        Function("Log of ReLU", non_negative=True, smooth=False),
        "ln(1 + max(x, 0))",
        lambda x: np.log1p(np.maximum(x, 0)),
    ),
    _known(Function("Step", non_negative=True, smooth=False), "1 above 0, else 0", lambda x: np.heaviside(x, 0)),
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
    _known(Function("Root of Softplus", non_negative=True), "√ln(1 + exp(x))", lambda x: np.sqrt(softplus(x))),
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
    _known(Function("Cube"), "x³", lambda x: np.power(x, 3)),
    _known(OPERATORS["Exp"], "exp(x)", np.exp),
)


# The first that fits counts.
FAMILIES: tuple[Form, ...] = (
    Form(OPERATORS["LeakyRelu"], "x, and s x below 0", fitted.leaky),
    Form(OPERATORS["PRelu"], "x, and s x below 0 with a slope s of each neuron", fitted.sloped, (TF2ONNX,)),
    Form(OPERATORS["Clip"], "min(max(x, a), b)", fitted.clipped, (TF2ONNX,)),
    Form(OPERATORS["Elu"], "x, and α (exp(x) − 1) below 0", fitted.elu, (TF2ONNX,)),
    Form(OPERATORS["Celu"], "x, and α (exp(x/α) − 1) below 0", fitted.celu),
    Form(OPERATORS["Softplus"], "ln(1 + exp(β x)) / β", fitted.softplus, (TORCHSCRIPT, DYNAMO)),
    Form(Function("Swish"), "x · sigmoid(β x)", fitted.swish),
    Form(Function("Squareplus", non_negative=True), "(x + √(x² + b)) / 2", fitted.squareplus, (TF2ONNX,)),
    Form(Function("GELU, clipped"), "min(GELU(x), b)", fitted.clipped_gelu),
    Form(Function("Gaussian", non_negative=True), "exp(−α x²)", fitted.gaussian),
    Form(Function("Normal distribution", non_negative=True), "(1 + erf((x − μ) / (σ √2))) / 2", fitted.normal),
    Form(OPERATORS["Shrink"], "sign(x) · max(|x| − λ, 0)", fitted.soft_shrink, (TORCHSCRIPT, DYNAMO, TF2ONNX)),
    Form(OPERATORS["Shrink"], "x where |x| > λ, else 0", fitted.hard_shrink, (TORCHSCRIPT, DYNAMO, TF2ONNX)),
    Form(OPERATORS["ThresholdedRelu"], "x where x > t, else 0", fitted.thresholded_relu, (DYNAMO, TF2ONNX)),
    Form(Function("Threshold", smooth=False), "x where x > t, else v", fitted.threshold, (DYNAMO, TF2ONNX)),
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
    slope = (values[HIGHEST] - values[LOWEST]) / (GRID[HIGHEST] - GRID[LOWEST])
    return _error(values, values[LOWEST] + slope * (GRID - GRID[LOWEST])) < tolerance


def _error(values: Array, expected: Array) -> float:
    return float(np.max(np.abs(values - expected) / (1 + np.abs(expected))))


@cache
def _expected() -> Array:
    """Return the values of the functions without parameters on `GRID`, shape (points, functions)."""
    return np.hstack([form.values(GRID, GRID) for form in KNOWN])
