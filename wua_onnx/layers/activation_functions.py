"""The activation functions that are single operators; those that are several are told by what they compute."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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
    "Abs": Function("Abs", non_negative=True),
    "Asinh": Function("Asinh"),
    "Atan": Function("Atan"),
    "BiasGelu": Function("GELU"),
    "Celu": Function("CELU"),
    "Clip": Function("Clip", smooth=False),
    "Cos": Function("Cos"),
    "Cosh": Function("Cosh", non_negative=True),
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
    "Sign": Function("Sign", smooth=False),
    "Sin": Function("Sin"),
    "Sinh": Function("Sinh"),
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


def clip(low: float | None) -> Function:
    """Return Clip with the lower bound `low`, None for no bound."""
    return Function("Clip", non_negative=low is not None and low >= 0, smooth=False)


_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div", "Neg", "Cast", "Identity", "Reciprocal"})


def unnamed(ops: Iterable[str]) -> Function:
    """Return a function known only by the operators it is made of."""
    telling = frozenset(ops) - _ARITHMETIC
    return Function(f"elementwise ({', '.join(sorted(telling)) or 'arithmetic'})")
