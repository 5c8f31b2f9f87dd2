"""Primitives of the formulas in the specification, for counting numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from .counting import Scalar
from .nodes import figures


def exp(x: Scalar) -> Scalar:
    return x.exp()


def sigmoid(x: Scalar) -> Any:
    return 1 / (1 + exp(-x))


def larger(a: Any, b: Any) -> Any:
    """max(a, b), one comparison."""
    return a if a > b else b


def smaller(a: Any, b: Any) -> Any:
    """min(a, b), one comparison."""
    return a if a < b else b


def softmax(row: Sequence[Any]) -> list[Any]:
    top = row[0]
    for value in row[1:]:
        top = larger(value, top)
    powers = [exp(value - top) for value in row]
    total = powers[0]
    for value in powers[1:]:
        total = total + value
    return [value / total for value in powers]


def mean(values: Sequence[Any]) -> Any:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total / len(values)


def dot(a: Any, b: Any) -> Any:
    """The first product goes onto 0, as convention 2 counts."""
    total: Any = 0.0
    for x, y in zip(a, b, strict=True):
        total = x * y + total
    return total


def flattened(node: Any) -> Counter[str]:
    """Return the figures of `node` with each multiply-accumulate as one mul and one add."""
    found = figures(node)
    macs = found.pop("macs")
    return +(found + Counter(mul=macs, add=macs))
