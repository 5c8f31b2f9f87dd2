"""Figures over a range of one dimension: compiled once, then a few multiplications a point."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

from wua_onnx._frames import data_frame
from wua_onnx.cost.peaks import peak
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Call, Dim, apply, once_each, substitute, symbols

if TYPE_CHECKING:
    from wua_onnx.cost.report import CostReport

Value: TypeAlias = "int | Fraction"
Function: TypeAlias = Callable[[int], Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The figures of a report at one size of a dimension; the names are those of `CostReport`."""

    size: int
    macs: int
    int_macs: int
    flops: int
    int_ops: int
    params: int
    weight_bytes: int
    activation_bytes: int
    peak_activation_bytes: int
    bytes_moved: int

    @property
    def intensity(self) -> float | None:
        """Operations, float and integer, per byte moved; None where nothing moves."""
        return float(Fraction(self.flops + self.int_ops, self.bytes_moved)) if self.bytes_moved else None


FIGURES = tuple(field.name for field in fields(Point))[1:]


@dataclass(frozen=True, repr=False)
class Curve(Sequence[Point]):
    """A table: one `Point` for each size of the dimension `symbol`, the others bound to `dims`."""

    symbol: str
    points: tuple[Point, ...]
    dims: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: Any) -> Any:
        return self.points[index]

    def __iter__(self) -> Iterator[Point]:
        return iter(self.points)

    def __repr__(self) -> str:
        span = f"{self.points[0].size}…{self.points[-1].size}" if self.points else "none"
        return f"<Curve over {self.symbol}: {len(self)} points, {span}>"

    def column(self, figure: str) -> list[int]:
        """Return one figure at every size; `figure` is the name of a field of `Point`."""
        return [getattr(point, figure) for point in self.points]

    def to_pandas(self) -> Any:
        """Return a data frame, the sizes as its index.

        Raises:
            MissingDependency: pandas is not installed.
        """
        frame = data_frame({figure: self.column(figure) for figure in FIGURES}, self.column("size"))
        return frame.rename_axis(self.symbol)


def curve_of(report: CostReport, symbol: str, sizes: Iterable[int], dims: Mapping[str, int]) -> Curve:
    """Return the figures of `report` at every size of `symbol`, the other symbols bound to `dims`.

    Raises:
        ShapeError: a further symbol is free.
    """
    free = sorted(set(report.symbols) - {symbol, *dims})
    if free:
        raise ShapeError(
            f"curve({symbol!r}): expected a size for every other dimension, got none for {', '.join(free)}"
        )
    bind = once_each(lambda dim: substitute(dim, dims))
    figures: dict[str, Dim] = {
        **{name: getattr(report.cost, name) for name in ("macs", "int_macs", "flops", "int_ops")},
        "params": report.params,
        "weight_bytes": report.weight_bytes,
        "activation_bytes": report.activations,
        "bytes_moved": report.moved,
    }
    functions = {name: _compiled(bind(dim), symbol) for name, dim in figures.items()}
    functions["peak_activation_bytes"] = _peak(report, symbol, bind)
    points = [Point(size=size, **{name: int(function(size)) for name, function in functions.items()}) for size in sizes]
    return Curve(symbol, tuple(points), dict(dims))


def _peak(report: CostReport, symbol: str, bind: Callable[[Dim], Dim]) -> Function:
    """Return the peak by size; at 0 by the lifetimes themselves, since the expression holds from 1 on."""
    if report.lifetimes is None:
        return _compiled(bind(report.peak), symbol)
    lifetimes = [replace(life, size=bind(life.size)) for life in report.lifetimes]
    general = _compiled(peak(lifetimes), symbol)

    def at(size: int) -> Value:
        if size:
            return general(size)
        empty = peak([replace(life, size=substitute(life.size, {symbol: 0})) for life in lifetimes])
        assert isinstance(empty, int)
        return empty

    return at


def _compiled(dim: Dim, symbol: str) -> Function:
    """Return `dim` as a function of its only symbol."""
    if isinstance(dim, int):
        return lambda size: dim
    assert symbols(dim) <= {symbol}
    parts: list[tuple[Value, list[tuple[Function, int]]]] = []
    for monomial, coefficient in dim.terms.items():
        factors = [(_called(atom, symbol) if isinstance(atom, Call) else _identity, power) for atom, power in monomial]
        parts.append((coefficient, factors))

    def value(size: int) -> Value:
        result: Value = 0
        for coefficient, factors in parts:
            for function, power in factors:
                coefficient = coefficient * function(size) ** power
            result += coefficient
        return result

    return value


def _identity(size: int) -> Value:
    return size


def _called(call: Call, symbol: str) -> Function:
    arguments = [_compiled(argument, symbol) for argument in call.arguments]

    def value(size: int) -> Value:
        values = [int(argument(size)) for argument in arguments]
        result = apply(call.function, *values)
        assert isinstance(result, int)
        return result

    return value


__all__ = ["FIGURES", "Curve", "Point", "curve_of"]
