"""The activation functions: single operators, and the patterns exporters decompose them into."""

from __future__ import annotations

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


# A single operator, by its name in ai.onnx (or com.microsoft).
OPERATORS: dict[str, Function] = {
    "Relu": Function("ReLU", non_negative=True, smooth=False),
    "LeakyRelu": Function("LeakyReLU"),
    "PRelu": Function("PReLU"),
    "ThresholdedRelu": Function("ThresholdedReLU", smooth=False),
    "Clip": Function("Clip", smooth=False),
    "Sigmoid": Function("Sigmoid", non_negative=True),
    "HardSigmoid": Function("HardSigmoid", non_negative=True, smooth=False),
    "HardSwish": Function("HardSwish", smooth=False),
    "Tanh": Function("Tanh"),
    "Softplus": Function("Softplus", non_negative=True),
    "Softsign": Function("Softsign"),
    "Elu": Function("ELU"),
    "Selu": Function("SELU"),
    "Celu": Function("CELU"),
    "Gelu": Function("GELU"),
    "FastGelu": Function("GELU (tanh)"),
    "QuickGelu": Function("QuickGELU"),
    "Swish": Function("SiLU"),
    "Mish": Function("Mish"),
    "Softmax": Function("Softmax", non_negative=True),
    "LogSoftmax": Function("LogSoftmax"),
    "Hardmax": Function("Hardmax", non_negative=True, smooth=False),
    "Shrink": Function("Shrink", smooth=False),
    "Sin": Function("Sin"),
    "Cos": Function("Cos"),
    "Exp": Function("Exp", non_negative=True),
    "Erf": Function("Erf"),
}

# Along one axis rather than element by element.
ALONG_AXIS = frozenset({"Softmax", "LogSoftmax", "Hardmax"})

# The operators a decomposed activation function is made of, beside those of OPERATORS.
ELEMENTWISE = frozenset(
    {
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Pow",
        "Neg",
        "Abs",
        "Sqrt",
        "Log",
        "Min",
        "Max",
        "Reciprocal",
        "Sign",
        "Cast",
        "Identity",
    }
    | {"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Where", "Tanh", "Exp", "Erf"}
) | (OPERATORS.keys() - ALONG_AXIS)

# A decomposition is known by the operators in it that are more than arithmetic.
_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div", "Neg", "Cast", "Identity", "Reciprocal"})
PATTERNS: dict[frozenset[str], Function] = {
    frozenset({"Sigmoid"}): Function("SiLU"),
    frozenset({"HardSigmoid"}): Function("HardSwish", smooth=False),
    frozenset({"Clip"}): Function("HardSwish", smooth=False),
    frozenset({"Erf"}): Function("GELU"),
    frozenset({"Tanh", "Pow"}): Function("GELU (tanh)"),
    frozenset({"Tanh"}): Function("GELU (tanh)"),
    frozenset({"Softplus", "Tanh"}): Function("Mish"),
    frozenset({"Relu"}): Function("PReLU"),
}


def of_pattern(ops: list[str]) -> Function:
    """Return the function that the operators of a decomposition make up; an unknown one is named by them."""
    telling = frozenset(ops) - _ARITHMETIC
    return PATTERNS.get(telling) or Function(f"elementwise ({', '.join(sorted(telling)) or 'arithmetic'})")
