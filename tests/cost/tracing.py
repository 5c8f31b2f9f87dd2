"""A number that tells what reverse-mode differentiation multiplies.

The product of a and b is multiplied once backward for each of the two that needs a gradient: g·b for a's, g·a for b's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

PRODUCTS = {"forward": 0, "backward": 0}  # of the run in progress


class Traced:
    """A value that needs a gradient or does not; `factor` marks the operands whose products count."""

    __slots__ = ("factor", "needs")
    __hash__ = None  # type: ignore[assignment] # equality is traced, so no hash

    def __init__(self, needs: bool, factor: bool = False) -> None:
        self.needs, self.factor = needs, factor

    def _joined(self, other: object) -> Traced:
        return Traced(self.needs or (isinstance(other, Traced) and other.needs))

    def __mul__(self, other: object) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented  # numpy goes through its elements
        if isinstance(other, Traced) and (self.factor or other.factor):
            PRODUCTS["forward"] += 1
            PRODUCTS["backward"] += self.needs + other.needs
        return self._joined(other)

    def __add__(self, other: object) -> Any:
        return NotImplemented if isinstance(other, np.ndarray) else self._joined(other)

    __rmul__ = __mul__
    __radd__ = __sub__ = __rsub__ = __truediv__ = __rtruediv__ = __add__

    def __gt__(self, other: object) -> bool:
        return False

    def _same(self) -> Traced:
        return Traced(self.needs)

    __neg__ = exp = tanh = _same


def traced(shape: tuple[int, ...], needs: bool, factor: bool = True) -> npt.NDArray[Any]:
    """Return an array of such numbers."""
    result = np.empty(shape, object)
    for index in np.ndindex(shape):
        result[index] = Traced(needs, factor)
    return result


def multiplied_backward(run: Callable[[], object]) -> int:
    """Return how many products the gradients of what `run` computes take."""
    PRODUCTS.update(forward=0, backward=0)
    run()
    return PRODUCTS["backward"]
