"""The rows of the tables: JSON dictionaries become frozen dataclasses whose numbers are already text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from wua_onnx._text import shortened, visible
from wua_onnx.report import numbers as n
from wua_onnx.report.layer_charts import spark, spark_heights

Json = Mapping[str, Any]

NOTHING = "–"
_CELL = 80  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One metric: its value, that of an untrained layer, and its band; both also as lengths of a bar in percent."""

    value: str
    baseline: str | None
    band: str
    length: float | None
    tick: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """One line of the layer table."""

    anchor: str
    name: str
    kind: str
    shape: str
    module: str
    weights: str
    effective: str
    macs: str
    macs_key: float | None
    macs_share: str
    macs_length: float | None
    utilization: Reading
    redundancy: Reading
    gini: Reading
    coverage: str
    coverage_baseline: str | None
    dead: str
    some_dead: bool
    activation: str
    notes: tuple[str, ...]
    spark_heights: tuple[int, ...]

    @property
    def histogram(self) -> Markup | None:
        """The histogram as a spark line; None where there is none."""
        return spark(self.spark_heights) if self.spark_heights else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """One line of a cost table: an operator, a module or a node."""

    name: str
    detail: str
    depth: int
    count: str
    macs: str
    share: str
    length: float | None
    flops: str
    int_ops: str
    bytes: str
    params: str
    intensity: str
    verdict: str
    reason: str


def first_criterion(layer: Json) -> Json:
    """Return what the first criterion of the audit says of a layer; empty where it says nothing."""
    found: Json = next(iter(layer["criteria"].values()), {})
    return found


def place(source: str) -> str:
    """Return the file and line without most of the path: a page that is sent around tells nothing of its author."""
    return visible("/".join(re.split(r"[/\\]", source)[-2:]))


def modules_of(cost: Json) -> dict[str, str]:
    """Return the module path of every node by its name."""
    return {row["name"]: row.get("module") or "" for row in cost["by_node"]}


def layer_row(layer: Json, index: int, total_macs: n.Number, modules: Mapping[str, str] | None = None) -> LayerRow:
    """Return the row of one layer, read by the first criterion of the audit."""
    judged = first_criterion(layer)
    metrics, baseline, bands = (judged.get(key) or {} for key in ("metrics", "baseline", "bands"))
    share = n.ratio(layer["macs"], total_macs)
    coverage = {key: (part.get("coverage") or {}).get("0.9") for key, part in (("own", metrics), ("base", baseline))}
    return LayerRow(
        anchor=f"layer-{index}",
        name=visible(layer["name"]),
        kind=visible(layer["kind"]),
        shape=shape(layer["weight_shape"]),
        module=visible((modules or {}).get(next(iter(layer["nodes"]), ""), "")),
        weights=n.count(layer["weights"]),
        effective=n.short(metrics.get("effective")),
        macs=_line(n.short(layer["macs"])),
        macs_key=n.factor(layer["macs"]),
        macs_share=n.percent(share) if share is not None else _line(n.short(layer["macs"])),
        macs_length=_length(share),
        utilization=_reading(metrics, baseline, bands, "utilization", n.percent),
        redundancy=_reading(metrics, baseline, bands, "redundancy", n.decimal),
        gini=_reading(metrics, baseline, bands, "gini", n.decimal),
        coverage=n.percent(coverage["own"]),
        coverage_baseline=n.percent(coverage["base"]) if coverage["base"] is not None else None,
        dead=_dead(layer),
        some_dead=bool(layer["dead_neurons"]),
        activation=visible(layer["activation"] or ""),
        notes=tuple(_notes(layer)),
        spark_heights=spark_heights(_known((judged.get("histogram") or {}).get("counts") or ())),
    )


def cost_row(row: Json, name: str, total_macs: n.Number, detail: str = "") -> CostRow:
    """Return the row of one entry of `by_operator`, `by_module` or `by_node`."""
    share = n.ratio(row["macs"], total_macs)
    return CostRow(
        name=visible(name),
        detail=visible(detail),
        depth=row.get("depth", 0),
        count=n.count(row.get("count", row.get("nodes", 1))),
        macs=_line(n.short(row["macs"])),
        share=n.percent(share) if share is not None else NOTHING,
        length=_length(share),
        flops=_line(n.short(row["flops"])),
        int_ops=_line(n.short(row.get("int_ops", 0))),
        bytes=_line(n.size(row["bytes"])),
        params=n.amount(row["params"]) if row.get("params") is not None else NOTHING,
        intensity=f"{row['intensity']:.3g}" if row.get("intensity") is not None else NOTHING,
        verdict=visible(row.get("verdict", "")),
        reason=visible(row.get("reason") or ""),
    )


def shape(dims: Sequence[Any] | None) -> str:
    """Return the dimensions joined by a multiplication sign; symbolic ones by name."""
    if dims is None:
        return "?"
    return " × ".join(n.symbolic(d) or visible("?" if d is None else d, 60) for d in dims) or "scalar"


def _line(text: str) -> str:
    """Return what of an expression fits a cell."""
    return shortened(text, _CELL)


def _reading(metrics: Json, baseline: Json, bands: Json, name: str, text: Any) -> Reading:
    untrained = baseline.get(name)
    return Reading(
        value=text(metrics.get(name)),
        baseline=text(untrained) if untrained is not None else None,
        band=visible(bands.get(name) or ""),
        length=_length(metrics.get(name)),
        tick=_length(untrained),
    )


def _dead(layer: Json) -> str:
    dead = layer["dead_neurons"]
    return n.NOT_KNOWN if dead is None else f"{n.count(dead)} of {n.count(layer['neurons'])}"


def _notes(layer: Json) -> list[str]:
    notes = []
    if layer.get("uses", 1) != 1:
        notes.append(f"used {n.count(layer['uses'])} times")
    if layer.get("non_finite"):
        notes.append(f"{n.count(layer['non_finite'])} NaN or Inf")
    if layer.get("beyond_memory"):
        notes.append(f"read whole, {n.size(layer['beyond_memory'])} at once: more than `memory`")
    return notes


def _known(counts: Sequence[n.Number]) -> list[float]:
    return [float(count) if type(count) is int else n.ratio(count, 1) or 0.0 for count in counts]


def _length(share: n.Number) -> float | None:
    value = n.ratio(share, 1)
    return None if value is None else round(100 * min(max(value, 0.0), 1.0), 2)
