"""What a figure with a budget is, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from wua_onnx._text import visible
from wua_onnx.budget.amounts import Unit, parse
from wua_onnx.errors import BudgetError
from wua_onnx.report.numbers import Number

Json: TypeAlias = Mapping[str, Any]
Side: TypeAlias = Literal["max", "min"]
Needs: TypeAlias = Literal["cost", "layers", "data", "labels", "profile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of one audit.

    Attributes:
        value: as in the audit's JSON; None where the audit does not have it.
        bound: how it relates to the truth: exact, lower, upper, mixed, or measured.
        where: what holds most of it; empty where that says nothing.
    """

    value: Number
    bound: str = "exact"
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure that can have a budget.

    Attributes:
        name: in keys and options: `flops` has the budget `max_flops`, `--max-flops`.
        label: in tables.
        unit: what is measured.
        side: whether a budget is the most or the least it may be.
        needs: the least part of an audit that has it: cost, layers (weights read), data, labels, profile.
        compared: whether it is compared with a baseline.
        figure: reads it from the JSON of an audit.
    """

    name: str
    label: str
    unit: Unit
    side: Side
    needs: Needs
    compared: bool
    figure: Callable[[Json], Figure]

    @property
    def key(self) -> str:
        """The name of its budget in Python: `max_flops`."""
        return f"{self.side}_{self.name}"

    @property
    def option(self) -> str:
        """The name of its budget on the command line, without the dashes before it, and in TOML: `max-flops`."""
        return self.key.replace("_", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most or the least that a figure may be."""

    metric: Metric
    limit: Fraction


_METRICS: dict[str, Metric] = {}


def metric(
    name: str, label: str, unit: Unit, *, side: Side = "max", needs: Needs = "cost", compared: bool = True
) -> Callable[[Callable[[Json], Figure]], Callable[[Json], Figure]]:
    """Register the decorated function as the figure `name`; see `Metric`."""

    def register(function: Callable[[Json], Figure]) -> Callable[[Json], Figure]:
        if name in _METRICS:
            raise ValueError(f"metric {name!r}: expected one, got a second")
        _METRICS[name] = Metric(
            name=name, label=label, unit=unit, side=side, needs=needs, compared=compared, figure=function
        )
        return function

    return register


def all_metrics() -> tuple[Metric, ...]:
    """Return every figure that can have a budget, in the order of the tables."""
    from wua_onnx.budget import metrics

    assert metrics
    return tuple(_METRICS.values())


def budgets_of(given: Mapping[str, Any]) -> tuple[Budget, ...]:
    """Return the budgets of `{"max_flops": "2G"}`, in the order of the tables; None stands for no budget.

    Raises:
        BudgetError: there is no such budget, or an amount does not parse; the message says what there is.
    """
    by_key = {one.key: one for one in all_metrics()}
    for key in given:
        if key not in by_key:
            raise BudgetError(f"budget: expected one of {', '.join(by_key)}, got {visible(key)!r}")
    return tuple(
        Budget(metric=one, limit=parse(key, given[key], one.unit))
        for key, one in by_key.items()
        if given.get(key) is not None
    )
