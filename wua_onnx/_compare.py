"""compare(): two models side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wua_onnx._audit import Audit, analyze

_FIGURES = ("params", "weight_bytes", "macs", "flops", "peak_activation_bytes")
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
    """One figure before and after; None where a side does not have it."""

    name: str
    before: Any
    after: Any


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
    one, two = (_audit(side, X, y) for side in (before, after))
    figures = [_delta(name, one.to_dict()["cost"], two.to_dict()["cost"]) for name in _FIGURES]
    figures += [_delta(name, one.to_dict()["totals"], two.to_dict()["totals"]) for name in _TOTALS]
    figures.append(Delta(name="dead_neurons", before=_dead_neurons(one), after=_dead_neurons(two)))
    accuracy = Delta(name="accuracy", before=_accuracy(one), after=_accuracy(two))
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


def _accuracy(audit: Audit) -> float | None:
    recording = audit.to_dict()["recording"] or {}
    accuracy: float | None = recording.get("accuracy")
    return accuracy


def _delta(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Delta:
    return Delta(name=name, before=before.get(name), after=after.get(name))
