"""The figures of whatever has a cost and moves bytes: a node, several of them, a model."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Protocol, TypeAlias

from wua_onnx.cost.value import Cost
from wua_onnx.model.dims import Dim, to_sympy

if TYPE_CHECKING:
    import sympy

Figure: TypeAlias = "int | sympy.Expr"


class _Counted(Protocol):
    @property
    def cost(self) -> Cost: ...

    @property
    def moved(self) -> Dim: ...


class Figures:
    """Figures of `cost`, operations by kind, and of `moved`, bytes read and written: integers or expressions."""

    @property
    def macs(self: _Counted) -> Figure:
        """Multiply-accumulates of contractions, float and integer."""
        return to_sympy(self.cost.macs)

    @property
    def int_macs(self: _Counted) -> Figure:
        """The integer part of `macs`."""
        return to_sympy(self.cost.int_macs)

    @property
    def quantized_macs(self: _Counted) -> Figure:
        """The floating-point part of `macs` that a runtime which fuses Q/DQ groups does in integers (convention 7)."""
        return to_sympy(self.cost.quantized_macs)

    @property
    def flops(self: _Counted) -> Figure:
        """Floating-point operations: two per floating-point MAC, plus all others."""
        return to_sympy(self.cost.flops)

    @property
    def int_ops(self: _Counted) -> Figure:
        """Integer operations, two per integer MAC."""
        return to_sympy(self.cost.int_ops)

    @property
    def bytes(self: _Counted) -> Figure:
        """Bytes read and written, weights included, nothing kept in caches."""
        return to_sympy(self.moved)

    @property
    def intensity(self: _Counted) -> float | Figure | None:
        """Operations, float and integer, per byte moved; None where nothing moves."""
        return intensity(self.cost, self.moved)


def intensity(cost: Cost, moved: Dim) -> float | Figure | None:
    """Return the arithmetic intensity: operations, float and integer, per byte moved; None where nothing moves."""
    if moved == 0:
        return None
    operations = cost.flops + cost.int_ops
    if isinstance(operations, int) and isinstance(moved, int):
        return float(Fraction(operations, moved))
    quotient: Figure = to_sympy(operations) / to_sympy(moved)
    return quotient
