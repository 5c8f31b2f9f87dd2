"""The cost of one operator: a value that adds up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum

from wua_onnx.model.dims import Dim


class Verdict(StrEnum):
    """How a figure was come by (convention 11)."""

    COUNTED = "counted"
    ESTIMATE = "estimate"
    FREE = "free"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Operations of one run of an operator, by kind (conventions 1, 2 and 7); integers or symbolic.

    Attributes:
        macs: multiply-accumulates of contractions, float and integer.
        int_macs: the integer part of `macs`.
        mul, add, div, compare, special: floating-point operations outside contractions.
        int_ops: integer operations, 2 per integer multiply-accumulate included.
        quantized_macs: the part of `macs` that is written in floating point, and counted so, between DequantizeLinear
            and QuantizeLinear: a runtime that fuses these groups does it in integers.
    """

    macs: Dim = 0
    int_macs: Dim = 0
    mul: Dim = 0
    add: Dim = 0
    div: Dim = 0
    compare: Dim = 0
    special: Dim = 0
    int_ops: Dim = 0
    quantized_macs: Dim = 0

    @property
    def flops(self) -> Dim:
        """Floating-point operations, two per floating-point multiply-accumulate."""
        return 2 * (self.macs - self.int_macs) + self.mul + self.add + self.div + self.compare + self.special

    def __add__(self, other: Cost) -> Cost:
        return Cost(**{name: getattr(self, name) + getattr(other, name) for name in KINDS})

    def __mul__(self, times: Dim) -> Cost:
        return self.map(lambda dim: dim * times)

    __rmul__ = __mul__

    def map(self, function: Callable[[Dim], Dim]) -> Cost:
        """Return the cost with `function` applied to every figure that is not 0."""
        figures = {name: getattr(self, name) for name in KINDS}
        return Cost(**{name: function(figure) for name, figure in figures.items() if figure != 0})

    def as_integer(self) -> Cost:
        """Return the same work done in integers (convention 7)."""
        others = self.mul + self.add + self.div + self.compare + self.special
        return Cost(macs=self.macs, int_macs=self.macs, int_ops=2 * self.macs + others)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of one node that only an assumption tells, though the rule of its operator is exact elsewhere.

    Attributes:
        cost: the operations under the assumption.
        assumption: what is assumed.
    """

    cost: Cost
    assumption: str


KINDS = tuple(field.name for field in fields(Cost))
