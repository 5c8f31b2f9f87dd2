"""The activation functions: single operators, and what decomposed ones compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.layers.elementwise import elu, normal_cdf, sigmoid, softplus

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Function:
    """An activation function.

    Attributes:
        name: as shown in reports.
        non_negative: its values are never below 0, so that mean|a| is the mean.
        smooth: it has no exact zero region; a neuron is dead when its range vanishes.
    """

    name: str
    non_negative: bool = False
    smooth: bool = True


# A single operator, by its name in ai.onnx or com.microsoft.
OPERATORS: dict[str, Function] = {
    "BiasGelu": Function("GELU"),
    "Celu": Function("CELU"),
    "Clip": Function("Clip", smooth=False),
    "Cos": Function("Cos"),
    "Elu": Function("ELU"),
    "Erf": Function("Erf"),
    "Exp": Function("Exp", non_negative=True),
    "FastGelu": Function("GELU (tanh)"),
    "Gelu": Function("GELU"),
    "HardSigmoid": Function("HardSigmoid", non_negative=True, smooth=False),
    "HardSwish": Function("HardSwish", smooth=False),
    "Hardmax": Function("Hardmax", non_negative=True, smooth=False),
    "LeakyRelu": Function("LeakyReLU"),
    "LogSoftmax": Function("LogSoftmax"),
    "Mish": Function("Mish"),
    "PRelu": Function("PReLU"),
    "QuickGelu": Function("QuickGELU"),
    "Relu": Function("ReLU", non_negative=True, smooth=False),
    "Selu": Function("SELU"),
    "Shrink": Function("Shrink", smooth=False),
    "Sigmoid": Function("Sigmoid", non_negative=True),
    "Sin": Function("Sin"),
    "Softmax": Function("Softmax", non_negative=True),
    "Softplus": Function("Softplus", non_negative=True),
    "Softsign": Function("Softsign"),
    "Swish": Function("SiLU"),
    "Tanh": Function("Tanh"),
    "ThresholdedRelu": Function("ThresholdedReLU", smooth=False),
}

# Of com.microsoft, from integers to integers; inputs 3 and 4 are the scale and the zero point of the result.
QUANTIZED: dict[str, Function] = {
    "QLinearLeakyRelu": OPERATORS["LeakyRelu"],
    "QLinearSigmoid": OPERATORS["Sigmoid"],
    "QLinearSoftmax": OPERATORS["Softmax"],
}

# Along one axis rather than element by element.
ALONG_AXIS = frozenset({"Softmax", "LogSoftmax", "Hardmax", "QLinearSoftmax"})

# Where decompositions are looked at: both tails, the bends of the functions below, and no point exactly on a bend.
GRID: Array = np.concatenate([np.linspace(-7.93, 7.97, 54), [-25.1, 25.3]]).reshape(-1, 1)
_TOLERANCE = 2e-4  # half precision constants move GELU by 3e-5; its exact and its tanh form are 4.7e-4 apart

_REFERENCES: tuple[tuple[Function, Callable[[Array], Array]], ...] = (
    (OPERATORS["Relu"], lambda x: np.maximum(x, 0)),
    (Function("ReLU6", non_negative=True, smooth=False), lambda x: np.clip(x, 0, 6)),
    (Function("ReLU squared", non_negative=True, smooth=False), lambda x: np.square(np.maximum(x, 0))),
    (OPERATORS["Swish"], lambda x: x * sigmoid(x)),
    (OPERATORS["Gelu"], lambda x: x * normal_cdf(x)),
    (
        Function("GELU (tanh)"),
        lambda x: x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    ),
    (OPERATORS["QuickGelu"], lambda x: x * sigmoid(1.702 * x)),
    (OPERATORS["HardSwish"], lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    (OPERATORS["HardSigmoid"], lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    (OPERATORS["HardSigmoid"], lambda x: np.clip(x / 5 + 0.5, 0, 1)),
    (OPERATORS["Sigmoid"], sigmoid),
    (OPERATORS["Tanh"], np.tanh),
    (OPERATORS["Softplus"], softplus),
    (OPERATORS["Softsign"], lambda x: x / (1 + np.abs(x))),
    (OPERATORS["Elu"], elu),
    (OPERATORS["Selu"], lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772)),
    (OPERATORS["Mish"], lambda x: x * np.tanh(softplus(x))),
    (Function("LogSigmoid"), lambda x: -softplus(-x)),
    (Function("Tanhshrink"), lambda x: x - np.tanh(x)),
    (OPERATORS["Shrink"], lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)),
    (OPERATORS["Shrink"], lambda x: np.where(np.abs(x) > 0.5, x, 0)),
)


def identify(values: Array) -> Function | None:
    """Return the function whose values on `GRID` are `values`, shape (points, neurons) or (points, 1)."""
    if not np.isfinite(values).all():
        return None
    expected = _expected()
    errors = np.max(np.abs(values.T[:, :, None] - expected) / (1 + np.abs(expected)), axis=(0, 1))
    best = int(errors.argmin())
    return _REFERENCES[best][0] if errors[best] < _TOLERANCE else _leaky(values)


@cache
def _expected() -> Array:
    """Return the values of the references on `GRID`, shape (points, references)."""
    return np.hstack([reference(GRID) for _, reference in _REFERENCES])


def _leaky(values: Array) -> Function | None:
    """Return LeakyReLU, or PReLU where slopes differ, for the identity above 0 and a slope of its own below."""
    above, slopes = GRID[:, 0] > 0, values / GRID
    below = slopes[~above]
    is_leaky = np.abs(slopes[above] - 1).max() < _TOLERANCE and np.ptp(below, axis=0).max() < _TOLERANCE
    if not is_leaky or np.abs(below - 1).max() < _TOLERANCE:
        return None
    return OPERATORS["LeakyRelu" if np.ptp(below) < _TOLERANCE else "PRelu"]


_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div", "Neg", "Cast", "Identity", "Reciprocal"})


def unnamed(ops: Iterable[str]) -> Function:
    """Return a function known only by the operators it is made of."""
    telling = frozenset(ops) - _ARITHMETIC
    return Function(f"elementwise ({', '.join(sorted(telling)) or 'arithmetic'})")
