"""Comparing the JSON of an audit with budgets, and with the JSON of another audit."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from wua_onnx._text import visible
from wua_onnx.budget.amounts import exact
from wua_onnx.budget.outcome import Outcome
from wua_onnx.budget.registry import Budget, Json, Metric, all_metrics
from wua_onnx.errors import DataError, RunError, ShapeError
from wua_onnx.report import numbers as n
from wua_onnx.report.alike import alike, differences

_MISSING = {
    "cost": "a model or an audit in which the size of everything is known",
    "layers": "an audit with layers",
    "data": "an audit of data: give X (--data)",
    "labels": "an audit of data with labels: give X and y (--data with labels)",
    "profile": "an audit with a profile: analyze with profile=True (--profile)",
}
_SHOWN = 3  # names in a message


def against_budgets(audit: Json, budgets: Iterable[Budget]) -> tuple[Outcome, ...]:
    """Return what became of every budget.

    Raises:
        ShapeError: a figure depends on dimensions that are free.
        DataError: the audit does not have a figure.
    """
    return tuple(_against(audit, budget.metric, budget.limit) for budget in budgets)


def _against(audit: Json, metric: Metric, limit: Fraction) -> Outcome:
    if "layers" not in audit and metric.needs in ("layers", "data", "labels"):
        raise DataError(f"{metric.key}: expected {_MISSING[metric.needs]}, got a cost report")
    figure = metric.figure(audit)
    if isinstance(figure.value, dict):
        raise ShapeError(_free(metric, figure.value, audit))
    got = exact(figure.value)
    if got is None:
        failed = (audit.get({"profile": "profile"}.get(metric.needs, "recording")) or {}).get("error")
        if metric.needs in ("data", "labels", "profile") and failed:
            raise RunError(f"{metric.key}: {failed}")
        raise DataError(f"{metric.key}: expected {_MISSING[metric.needs]}, got none to compare with its limit")
    return Outcome(
        key=metric.key,
        label=metric.label,
        unit=metric.unit,
        side=metric.side,
        got=got,
        limit=limit,
        bound=figure.bound,
        where=figure.where,
    )


def _free(metric: Metric, value: Any, audit: Json) -> str:
    """Return what to do about a figure that has free dimensions."""
    symbols = [shlex.quote(visible(symbol, 60)) for symbol in audit["cost"]["symbols"]]
    binding = " ".join(f"--dim {symbol}=1" for symbol in symbols[:_SHOWN])
    more = " …" * (len(symbols) > _SHOWN)
    return (
        f"{metric.key}: expected a number to compare with its limit, got {n.symbolic(value, 200)}: "
        f"give the sizes of free dimensions, dims={{…}} ({binding}{more}), or data (--data)"
    )


def against_baseline(audit: Json, baseline: Json, allowed: Fraction) -> tuple[tuple[Outcome, ...], tuple[str, ...]]:
    """Return the comparison of every figure that both audits have, and notes on those that were left out.

    A figure may be `allowed` of the baseline's above it, one that should be high as much below it. Symbolic figures
    are compared where one is a multiple of the other.

    Raises:
        DataError: both have layers, and none in common.
        ShapeError: symbolic figures of which neither is a multiple of the other.
    """
    _same_network(audit, baseline)
    notes = list(differences(audit, baseline, "the baseline"))
    layers = alike(audit, baseline) and all("layers" in side for side in (audit, baseline))
    found: list[Outcome] = []
    for metric in all_metrics():
        if metric.compared and (layers or metric.needs in ("cost", "profile")):
            found += _compared(audit, baseline, metric, allowed)
    return tuple(found), tuple(notes)


def _compared(audit: Json, baseline: Json, metric: Metric, allowed: Fraction) -> Iterator[Outcome]:
    figure, before = metric.figure(audit), metric.figure(baseline)
    if figure.value is None or before.value is None:
        return
    factor = 1 + allowed if metric.side == "max" else 1 - allowed
    got, base, unit, bound = exact(figure.value), exact(before.value), metric.unit, figure.bound
    if got is None or base is None:
        low, high = _proportions(figure.value, before.value)
        if high is None or low <= factor < high:
            free = figure.value if isinstance(figure.value, dict) else before.value
            raise ShapeError(_free(metric, free, audit if isinstance(figure.value, dict) else baseline))
        got, base, unit = (high if high <= factor else low), Fraction(1), "increase"
        bound = bound if low == high else "upper" if high <= factor else "lower"
    yield Outcome(
        key=f"{metric.name}_of_baseline",
        label=f"{metric.label} vs. baseline",
        unit=unit,
        side=metric.side,
        got=got,
        limit=base * factor,
        bound=bound,
        where=figure.where,
        baseline=base,
    )


def _proportions(value: n.Number, before: n.Number) -> tuple[Fraction, Fraction | None]:
    """Return between what multiples of `before` `value` lies, whatever the sizes; the second is None for no limit.

    For b_i > 0 and x_i >= 0, Σ a_i x_i / Σ b_i x_i lies between the least and the greatest a_i / b_i.
    """
    one, two = _terms(value), _terms(before)
    ratios = [Fraction(one.get(monomial, 0)) / Fraction(two[monomial]) for monomial in two]
    if not ratios or one.keys() - two.keys():
        return Fraction(0), None
    positive = all(two[monomial] > 0 for monomial in two)
    plain = all(isinstance(atom, str) for monomial in two for atom, _ in monomial)
    if min(ratios) < max(ratios) and not (positive and plain):
        return Fraction(0), None
    return min(ratios), max(ratios)


def _terms(value: n.Number) -> dict[Any, Any]:
    """Return the coefficients of a figure by monomial."""
    from wua_onnx.model.dim_json import from_json
    from wua_onnx.model.dims import Expr

    dim = from_json(value)
    return dim.terms if isinstance(dim, Expr) else {(): dim} if dim else {}


def _same_network(audit: Json, baseline: Json) -> None:
    """Raise DataError unless the two share a layer, by its name or by its kind and shape."""
    sides = [side.get("layers") or [] for side in (audit, baseline)]
    if not all(sides):
        return
    names = [{layer["name"] for layer in side} for side in sides]
    shapes = [{(layer["kind"], tuple(layer["weight_shape"])) for layer in side} for side in sides]
    if names[0] & names[1] or shapes[0] & shapes[1]:
        return
    listed = [", ".join(visible(layer["name"], 40) for layer in side[:_SHOWN]) for side in sides]
    counts = [n.plural(len(side), "layer") for side in sides]
    raise DataError(
        f"baseline {visible(baseline['model']['name'], 60)}: expected an audit that shares a layer with "
        f"{visible(audit['model']['name'], 60)} ({counts[0]}: {listed[0]}), got none of its {counts[1]}: {listed[1]}"
    )
