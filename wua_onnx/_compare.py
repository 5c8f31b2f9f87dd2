"""compare(): two models side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wua_onnx._audit import analyze
from wua_onnx._result import Audit
from wua_onnx.model.dim_json import from_json
from wua_onnx.model.dims import to_sympy

_FIGURES = ("params", "weight_bytes", "macs", "flops", "peak_activation_bytes")
_LONG = 200  # operations of an expression that is not worth simplifying
_TOTALS = (
    "weights",
    "effective_weights",
    "utilization",
    "baseline_utilization",
    "compression_potential",
    "average_redundancy",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """One figure before and after.

    Attributes:
        name: what it is.
        before, after: as in the audits' JSON; None where a side does not have it.
        ratio: after / before, also of expressions where their free dimensions cancel; None where it cannot be said.
    """

    name: str
    before: Any
    after: Any
    ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two audits side by side.

    Attributes:
        before, after: the audits.
        figures: cost and totals of the whole models: `params`, `weight_bytes`, `macs`, `flops`,
            `peak_activation_bytes`, `weights`, `effective_weights`, `utilization`, `baseline_utilization` (of untrained
            layers), `compression_potential`, `average_redundancy`, `dead_neurons`, and `accuracy` where labels were
            given.
        layers: utilization of the layers that both have under the same name.
        added, removed: names of the layers that only one has.
    """

    before: Audit
    after: Audit
    figures: tuple[Delta, ...]
    layers: tuple[Delta, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    def show(self) -> None:
        """Print the comparison in the terminal."""
        from wua_onnx.report.comparison import print_comparison

        print_comparison(self)


def compare(before: Any, after: Any, X: Any = None, y: Any = None) -> Comparison:
    """Return two models side by side: cost, totals, and the layers that bear the same name.

    Args:
        before: a model as for `analyze`, an audit, or a path to the JSON of one.
        after: likewise.
        X: data for the models that are analysed here.
        y: labels, one a sample.

    Raises:
        WuaError: as `analyze` and `Audit.from_json` do.
    """
    if hasattr(X, "__next__"):
        X = list(X)  # both models read it
    one, two = (_audit(side, X, y) for side in (before, after))
    before_dict, after_dict = one.to_dict(), two.to_dict()
    figures = [_delta(name, before_dict["cost"][name], after_dict["cost"][name]) for name in _FIGURES]
    figures += [_delta(name, before_dict["totals"].get(name), after_dict["totals"].get(name)) for name in _TOTALS]
    figures.append(_delta("dead_neurons", _dead_neurons(one), _dead_neurons(two)))
    accuracy = _delta("accuracy", *((data["recording"] or {}).get("accuracy") for data in (before_dict, after_dict)))
    figures += [accuracy] if (accuracy.before, accuracy.after) != (None, None) else []
    common = [name for name in one.layers if name in two.layers]
    return Comparison(
        before=one,
        after=two,
        figures=tuple(figures),
        layers=tuple(
            Delta(name=name, before=one.layers[name].metrics.utilization, after=two.layers[name].metrics.utilization)
            for name in common
        ),
        added=tuple(name for name in two.layers if name not in one.layers),
        removed=tuple(name for name in one.layers if name not in two.layers),
    )


def _audit(side: Any, X: Any, y: Any) -> Audit:
    if isinstance(side, Audit):
        return side
    if isinstance(side, str | Path) and Path(side).suffix == ".json":
        return Audit.from_json(side)
    return analyze(side, X, y)


def _dead_neurons(audit: Audit) -> int | None:
    """Return how many neurons are dead, over the layers of which that is known; None where it is of none."""
    known = [layer.dead_neurons for layer in audit.layers.values() if layer.dead_neurons is not None]
    return sum(map(len, known)) if known else None


def _delta(name: str, before: Any, after: Any) -> Delta:
    return Delta(name=name, before=before, after=after, ratio=_ratio(_value(before), _value(after)))


def _value(figure: Any) -> Any:
    """Return the value of a figure of an audit's JSON: a number, a SymPy expression, or None."""
    if isinstance(figure, float):
        return figure
    dim = from_json(figure)
    return None if dim is None else to_sympy(dim)


def _ratio(before: Any, after: Any) -> float | None:
    if before is None or after is None or not before:
        return None
    if isinstance(before, int | float) and isinstance(after, int | float):
        return after / before
    import sympy

    ratio = sympy.sympify(after) / sympy.sympify(before)
    if ratio.count_ops() > _LONG:
        return None
    ratio = sympy.cancel(ratio)
    return float(ratio) if ratio.is_number else None
