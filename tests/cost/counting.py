"""A number that counts what is done to it.

Arrays of such numbers run through `onnx.reference.ReferenceEvaluator`: what it executes is an oracle for costs that
does not repeat the formula of any rule.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

TICKS: Counter[str] = Counter()  # of the run in progress: mul, add, div, compare, special


def _value(other: object) -> float:
    return other.value if isinstance(other, Scalar) else float(other)  # type: ignore[arg-type] # numbers of any kind, checked by float


def _binary(kind: str, apply: Callable[[float, float], float]) -> Callable[[Scalar, object], Any]:
    def operate(self: Scalar, other: object) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented  # numpy goes through its elements
        TICKS[kind] += 1
        return Scalar(apply(self.value, _value(other)))

    return operate


def _compare(apply: Callable[[float, float], bool]) -> Callable[[Scalar, object], bool]:
    def operate(self: Scalar, other: object) -> bool:
        TICKS["compare"] += 1
        return apply(self.value, _value(other))

    return operate


def _unary(kind: str, apply: Callable[[float], float]) -> Callable[[Scalar], Scalar]:
    def operate(self: Scalar) -> Scalar:
        TICKS[kind] += 1
        return Scalar(apply(self.value))

    return operate


def _divide(a: float, b: float) -> float:
    return a / b if b else math.copysign(math.inf, a)


class Scalar:
    """A float whose arithmetic is counted in `TICKS`."""

    __slots__ = ("value",)
    __hash__ = None  # type: ignore[assignment] # equality is counted, so no hash

    def __init__(self, value: float) -> None:
        self.value = float(value)

    def __repr__(self) -> str:
        return f"Scalar({self.value})"

    def __float__(self) -> float:
        return self.value

    __add__ = __radd__ = _binary("add", lambda a, b: a + b)
    __sub__ = _binary("add", lambda a, b: a - b)
    __rsub__ = _binary("add", lambda a, b: b - a)
    __mul__ = __rmul__ = _binary("mul", lambda a, b: a * b)
    __truediv__ = _binary("div", _divide)
    __rtruediv__ = _binary("div", lambda a, b: _divide(b, a))
    __mod__ = _binary("div", lambda a, b: math.fmod(a, b))
    __pow__ = _binary("special", lambda a, b: abs(a) ** b)
    __lt__ = _compare(lambda a, b: a < b)
    __le__ = _compare(lambda a, b: a <= b)
    __gt__ = _compare(lambda a, b: a > b)
    __ge__ = _compare(lambda a, b: a >= b)
    __eq__ = _compare(lambda a, b: a == b)
    __ne__ = _compare(lambda a, b: a != b)
    __neg__ = _unary("add", lambda a: -a)
    __abs__ = _unary("add", abs)
    # numpy calls these for its functions of the same names on arrays of objects.
    floor = __floor__ = _unary("compare", math.floor)
    ceil = __ceil__ = _unary("compare", math.ceil)
    rint = _unary("compare", round)
    exp = _unary("special", lambda a: math.exp(min(a, 700)))
    log = _unary("special", lambda a: math.log(abs(a) or 1))
    sqrt = _unary("special", lambda a: math.sqrt(abs(a)))
    sin = _unary("special", math.sin)
    cos = _unary("special", math.cos)
    tan = _unary("special", math.tan)
    tanh = _unary("special", math.tanh)
    sinh = _unary("special", math.sinh)
    cosh = _unary("special", math.cosh)
    arctan = _unary("special", math.atan)
    arcsinh = _unary("special", math.asinh)
    arcsin = arccos = arctanh = _unary("special", lambda a: math.asin(max(-1.0, min(a, 1.0))))
    arccosh = _unary("special", lambda a: math.acosh(max(a, 1.0)))
    log1p = _unary("special", lambda a: math.log1p(abs(a)))


def scalars(array: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return `array` as an array of `Scalar`."""
    floats = np.asarray(array, np.float64)
    result = np.empty(floats.shape, object)
    for index in np.ndindex(floats.shape):
        result[index] = Scalar(float(floats[index]))
    return result


def counted(run: Callable[[], object]) -> Counter[str]:
    """Return what `run` does to `Scalar`s, by kind."""
    TICKS.clear()
    run()
    return Counter(TICKS)
