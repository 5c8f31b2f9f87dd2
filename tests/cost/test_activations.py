"""Activation functions and softmax against their formulas, executed on counting numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from .counting import Scalar, counted, scalars
from .nodes import cost_of, figures
from .primitives import exp, larger, sigmoid, smaller, softmax

N = 2 * 3 * 5


def both(condition: bool, yes: Any, no: Any) -> Any:
    """Both sides of a case distinction are written out for every element, as convention 4 counts."""
    return yes if condition else no


ELEMENTWISE: dict[str, tuple[dict[str, Any], Callable[[Scalar], Any]]] = {
    "Relu": ({}, lambda x: larger(x, 0)),
    "Sigmoid": ({}, sigmoid),
    "Tanh": ({}, lambda x: x.tanh()),
    "HardSigmoid": ({}, lambda x: larger(smaller(0.2 * x + 0.5, 1), 0)),
    "HardSwish": ({}, lambda x: x * larger(smaller(x * (1 / 6) + 0.5, 1), 0)),
    "Swish": ({"opset": 24}, lambda x: x * sigmoid(1.7 * x)),
    "Gelu": ({}, lambda x: 0.5 * x * (1 + (x / 2**0.5).tanh())),  # tanh stands for erf: both are one special
    "Elu": ({}, lambda x: both(x < 0, 1.7 * (exp(x) - 1), x)),
    "Selu": ({}, lambda x: 1.1 * both(x > 0, x, 1.7 * exp(x) - 1.7)),
    "Celu": ({}, lambda x: larger(x, 0) + smaller(1.7 * (exp(x / 1.7) - 1), 0)),
    "Softplus": ({}, lambda x: (exp(x) + 1).log()),
    "Softsign": ({}, lambda x: x / (1 + abs(x))),
    "Mish": ({}, lambda x: x * (exp(x) + 1).log().tanh()),
    "LeakyRelu": ({}, lambda x: both(x < 0, 0.01 * x, x)),
    "ThresholdedRelu": ({}, lambda x: both(x > 1, x, 0)),
    "Erf": ({}, lambda x: x.tanh()),
    "Sign": ({}, lambda x: x > 0),
    "IsNaN": ({}, lambda x: x != x),
    "Round": ({}, lambda x: x.rint()),
}


@pytest.mark.parametrize("op", ELEMENTWISE)
def test_functions_of_one_element(op: str) -> None:
    settings, formula = ELEMENTWISE[op]
    # A negative number walks through the branch that does more; the other branch does no more.
    per_element = counted(lambda: formula(Scalar(-0.7)))
    expected = Counter({kind: N * times for kind, times in per_element.items()})
    assert figures(cost_of(op, (2, 3, 5), **settings)) == expected


def test_gelu_by_tanh() -> None:
    def formula(x: Scalar) -> Any:
        return 0.5 * x * (1 + ((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)).tanh())

    per_element = counted(lambda: formula(Scalar(0.3)))
    expected = Counter({kind: N * times for kind, times in per_element.items()})
    assert figures(cost_of("Gelu", (2, 3, 5), approximate="tanh")) == expected


@pytest.mark.parametrize(
    ("opset", "axis", "groups", "length"),
    [(13, 1, 10, 3), (13, -1, 6, 5), (11, 1, 2, 15), (11, 2, 6, 5), (9, 0, 1, 30)],
)
def test_softmax_over_rows_of_a_matrix_below_opset_13(opset: int, axis: int, groups: int, length: int) -> None:
    ticks = counted(lambda: [softmax(list(scalars(np.arange(length)))) for _ in range(groups)])
    assert figures(cost_of("Softmax", (2, 3, 5), opset=opset, axis=axis)) == ticks


def log_softmax(row: Sequence[Any]) -> list[Any]:
    top = row[0]
    for value in row[1:]:
        top = larger(value, top)
    differences = [value - top for value in row]
    total = exp(differences[0])
    for value in differences[1:]:
        total = total + exp(value)
    subtract = total.log()
    return [value - subtract for value in differences]


def test_log_softmax() -> None:
    ticks = counted(lambda: [log_softmax(list(scalars(np.arange(5)))) for _ in range(6)])
    assert figures(cost_of("LogSoftmax", (2, 3, 5))) == ticks


@pytest.mark.parametrize(("given", "compares"), [((None, None), 0), ((0, None), 1), ((None, 1), 1), ((0, 1), 2)])
def test_clip_counts_the_bounds_given(given: tuple[float | None, float | None], compares: int) -> None:
    bounds = [None if bound is None else np.array(bound, np.float32) for bound in given]
    assert figures(cost_of("Clip", (2, 3, 5), *bounds)) == +Counter(compare=30 * compares)
    attributes = {name: bound for name, bound in zip(("min", "max"), given, strict=True) if bound is not None}
    assert figures(cost_of("Clip", (2, 3, 5), opset=9, **attributes)) == +Counter(compare=30 * compares)
