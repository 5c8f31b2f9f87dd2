"""What the boxes of a graph diagram can be coloured by: each a figure of the nodes, or of the layers, in a box."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, Literal, TypeAlias

Json: TypeAlias = Mapping[str, Any]
Sums: TypeAlias = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure of a box.

    Attributes:
        name: as a caller asks for it.
        label: as the legend writes it.
        form: "share" of the whole model, "ratio" from 0 to 1, or "amount".
        missing: what has to be done to have it.
        of_layers: how the figures of several layers join; None for a figure of nodes, which add up.
    """

    name: str
    label: str
    form: Literal["share", "ratio", "amount"]
    missing: str
    of_layers: Callable[[Sequence[Json], str], float | None] | None = None

    def text(self, value: float) -> str:
        """Return `value` as hover text and legend write it."""
        return f"{value:.3g}" if self.form == "amount" else f"{100 * value:.1f} %"


def _metrics(layers: Sequence[Json], criterion: str) -> list[Json]:
    return [layer["criteria"][criterion]["metrics"] for layer in layers if criterion in layer["criteria"]]


def _ratio(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    known = [(part, whole) for part, whole in pairs if part is not None and whole]
    return fsum(part for part, _ in known) / fsum(whole for _, whole in known) if known else None


def _redundancy(layers: Sequence[Json], criterion: str) -> float | None:
    """Return the mean over the layers, as `average_redundancy` of a model is."""
    known = [m["redundancy"] for m in _metrics(layers, criterion) if m["redundancy"] is not None]
    return fsum(known) / len(known) if known else None


def _utilization(layers: Sequence[Json], criterion: str) -> float | None:
    return _ratio([(m["effective"], m["total"]) for m in _metrics(layers, criterion)])


def _importance(layers: Sequence[Json], criterion: str) -> float | None:
    return _ratio([(m["sum"], m["total"]) for m in _metrics(layers, criterion)])


def _dead(layers: Sequence[Json], criterion: str) -> float | None:
    return _ratio([(layer["dead_neurons"], layer["neurons"]) for layer in layers if criterion in layer["criteria"]])


_WEIGHTS = "the weights have to be analysed, and hold a layer"
METRICS = {
    metric.name: metric
    for metric in (
        Metric(name="flops", label="FLOPs", form="share", missing="the model does no floating-point work"),
        Metric(name="macs", label="MACs", form="share", missing="the model multiplies nothing"),
        Metric(name="bytes", label="bytes moved", form="share", missing="no shape is known"),
        Metric(name="params", label="parameters", form="share", missing="the model has no parameters"),
        Metric(name="time", label="time", form="share", missing="measure it: profile=True, or --profile"),
        Metric(name="redundancy", label="redundancy", form="ratio", missing=_WEIGHTS, of_layers=_redundancy),
        Metric(name="utilization", label="utilization", form="ratio", missing=_WEIGHTS, of_layers=_utilization),
        Metric(
            name="importance", label="mean importance of a weight", form="amount", missing=_WEIGHTS,
            of_layers=_importance,
        ),
        Metric(name="dead", label="dead neurons", form="ratio", missing=_WEIGHTS, of_layers=_dead),
    )
}  # fmt: skip
COSTS = tuple(name for name, metric in METRICS.items() if metric.of_layers is None)


def values_of(sums: Sums, layers: Sequence[Json], criterion: str, whole: Sums) -> dict[str, float | None]:
    """Return every metric of a box, to six digits; None where it has none.

    Args:
        sums: of its nodes, by the names in `COSTS`.
        layers: that lie in it.
        criterion: of importance.
        whole: the sums of the whole model.
    """
    found: dict[str, float | None] = {}
    for name, metric in METRICS.items():
        if metric.of_layers is not None:
            value = metric.of_layers(layers, criterion)
        else:
            value = sums[name] / whole[name] if name in sums and whole.get(name) else None
        found[name] = None if value is None else float(f"{value:.6g}")
    return found
