"""What a busy engineer reads first: one sentence, the kind of the totals, and the tiles."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wua_onnx._text import visible
from wua_onnx.report import numbers as n
from wua_onnx.report.charts_tree import of_a_sample

Json = Mapping[str, Any]

_FIGURE = re.compile(r"([0-9.,]+)(?: (.+))?")
EFFICIENT, REDUNDANT = 0.7, 0.3  # bands of utilization
SLACK = 0.9  # of the untrained value: what lies above it is no sign of slack
SMALL_GAIN = 0.02  # of all weights: a layer that has less to give is not named


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One figure of the overview: rounded, its unit, what it means, and its exact value."""

    label: str
    figure: str
    unit: str
    note: str
    exact: str

    @property
    def value(self) -> str:
        """The figure with its unit."""
        return f"{self.figure} {self.unit}".rstrip()

    @property
    def long(self) -> bool:
        """Whether the figure is an expression rather than a number."""
        return len(self.figure) > 12

    @property
    def known(self) -> bool:
        """Whether there is a figure at all."""
        return self.figure != n.NOT_KNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Whether the totals are exact: `kind` is exact, lower, upper or mixed; `sign` stands before a bounded value."""

    kind: str
    label: str
    sign: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The reading in two or three words, its tone (`good`, `fair`, `poor`, `none`), and the sentence."""

    reading: str
    tone: str
    sentence: str


_BOUNDS = {
    "exact": ("exact", "", "every operator is counted by rule"),
    "lower": ("lower bound", "≥ ", "some work is not counted, so the real figures are at least these"),
    "upper": (
        "upper bound",
        "≤ ",
        "branches or trips depend on the data, so the real figures are at most these",
    ),
    "mixed": ("estimate", "≈ ", "some work is not counted and some depends on the data"),
}


def bound_of(cost: Json) -> Bound:
    """Return how the totals are to be read."""
    kind = cost["bound"] if cost["bound"] in _BOUNDS else "mixed"
    label, sign, note = _BOUNDS[kind]
    return Bound(kind=kind, label=label, sign=sign, note=note + _observed(cost.get("observed")))


def _observed(observed: Json | None) -> str:
    """Return what the totals hold for, where a run was to tell trips, branches and shapes."""
    if observed is None:
        return ""
    if observed["error"] is not None:
        return f"; nothing was observed: {visible(observed['error'], 300)}"
    samples = n.number(observed["samples"])
    data = "1 sample" if samples == 1 else f"a run of {n.count(samples)} samples"
    return f"; trips, branches and shapes as observed on {data}"


def verdict_of(audit: Json) -> Verdict:
    """Return the one sentence on the whole model, judged against an untrained network of the same shapes."""
    name, totals = visible(audit["model"]["name"], 60), audit["totals"]
    utilization = n.ratio(totals["utilization"], 1)
    costs = _costs(audit["cost"])
    if utilization is None or not n.number(totals["weights"]):
        return Verdict(
            reading="cost only", tone="none", sentence=f"{name} has no weights that could be judged; {costs}."
        )
    baseline = n.ratio(totals.get("baseline_utilization"), 1)
    reading, tone = _judge(utilization, baseline)
    spread = f"{_measure(audit)} is spread over the equivalent of {n.percent(utilization)} of its weights"
    against = f" (untrained: {n.percent(baseline)})" if baseline is not None else ""
    urgent = _urgent(audit) if tone == "good" else None
    where = _most_slack(audit) if tone != "good" else None
    says = f"needs a look at {urgent}" if urgent else f"{_PHRASES[tone]}"
    last = f"; most of the slack is in {where}" if where else "" if urgent else f"; {costs}"
    separator = ";" if urgent else ":"
    sentence = f"{name} {says}{separator} {spread}{against}{last}."
    return Verdict(reading=reading, tone="fair" if urgent else tone, sentence=sentence)


_PHRASES = {"good": "shows no slack", "fair": "has some slack", "poor": "looks oversized"}


def _urgent(audit: Json) -> str | None:
    """Return where and what the first finding of high severity is, else of medium severity."""
    found = next((one for word in ("high", "medium") for one in audit["findings"] if one["severity"] == word), None)
    return f"{visible(found['where'], 60)} ({visible(found['evidence'], 90)})" if found else None


def _costs(cost: Json) -> str:
    macs = of_a_sample(cost["macs"], cost)
    if n.is_long(macs):
        return f"its cost {_depends(cost)}"
    return f"one {_unit(cost)} costs {bound_of(cost).sign}{n.short(macs, 'MACs')}"


def _depends(cost: Json) -> str:
    return f"depends on {', '.join(visible(symbol, 30) for symbol in cost['symbols'])}"


def _judge(utilization: float, baseline: float | None) -> tuple[str, str]:
    if utilization > EFFICIENT or (baseline is not None and utilization >= SLACK * baseline):
        return ("efficient" if utilization > EFFICIENT else "as untrained"), "good"
    return ("redundant", "poor") if utilization < REDUNDANT else ("ordinary", "fair")


def _measure(audit: Json) -> str:
    criterion = next(iter(audit["settings"]["criterion"]), "importance")
    return "weight magnitude" if criterion == "magnitude" else "importance"


def _most_slack(audit: Json) -> str | None:
    """Return the layer that lies furthest below its untrained baseline, in effective weights."""
    gains = []
    for layer in audit["layers"]:
        judged: Json = next(iter(layer["criteria"].values()), {})
        own, base = (n.ratio((judged.get(key) or {}).get("effective"), 1) for key in ("metrics", "baseline"))
        if own is not None and base is not None:
            gains.append((base - own, layer["name"]))
    gain, name = max(gains, key=lambda pair: pair[0], default=(0.0, ""))
    return visible(name, 60) if gain > SMALL_GAIN * (n.ratio(audit["totals"]["weights"], 1) or 0.0) else None


def tiles_of(audit: Json) -> tuple[Tile, ...]:
    """Return the figures of the overview."""
    totals = audit["totals"]
    baseline = totals.get("baseline_utilization")
    untrained = n.percent(baseline) if baseline is not None else n.NOT_KNOWN
    note = f"{n.percent(totals['utilization'])} of {n.amount(totals['weights'])}; untrained: {untrained}"
    effective = _whole(totals["effective_weights"])
    return (*cost_tiles(audit["cost"]), _tile("Effective weights", effective, n.amount(effective), note))


def cost_tiles(cost: Json) -> tuple[Tile, ...]:
    """Return the figures of a cost report; those of a run with the batch as 1, where that is a free dimension."""
    sign, per = bound_of(cost).sign, f"per {_unit(cost)}"

    def total(label: str, key: str, text: Callable[[n.Number], str], note: str, sign: str = "", unit: str = "") -> Tile:
        value = of_a_sample(cost[key], cost)
        return _tile(label, cost[key], _depends(cost) if n.is_long(value) else text(value), note, sign, unit)

    def amount(unit: str) -> Callable[[n.Number], str]:
        return lambda value: n.short(value, unit)

    macs, flops = f"multiply–accumulates {per}", f"floating-point operations {per}"
    peak = f"most memory alive at once, {per}"
    return (
        total("Parameters", "params", n.amount, "weights, biases and scales"),
        total("Weight size", "weight_bytes", n.size, "as stored in the model", unit=" bytes"),
        total("MACs", "macs", amount("MACs"), macs, sign),
        total("FLOPs", "flops", amount("FLOPs"), flops, sign),
        total("Peak activations", "peak_activation_bytes", n.size, peak, unit=" bytes"),
        _intensity(cost),
    )


def _intensity(cost: Json) -> Tile:
    """Return operations, float and integer, for each byte moved."""
    value = cost.get("intensity")
    if value is None:
        flops, whole, moved = (of_a_sample(cost[key], cost) for key in ("flops", "int_ops", "bytes_moved"))
        known = [n.number(part) for part in (flops, whole)]
        value = None if None in known else n.ratio(sum(part or 0 for part in known), moved)
    text = f"{value:.3g}" if value is not None else n.NOT_KNOWN
    if value is None and cost["symbols"]:
        text = _depends(cost)
    return Tile(
        label="Intensity",
        figure=text,
        unit="FLOPs/B" if value is not None else "",
        note=f"operations for each byte moved, per {_unit(cost)}",
        exact=text if value is None else f"{value:.6g}",
    )


def _tile(label: str, value: n.Number, text: str, note: str, sign: str = "", unit: str = "") -> Tile:
    """Return a tile; a number is cut from its unit, an expression is not."""
    parted = _FIGURE.fullmatch(text)
    figure, scale = (parted[1], parted[2] or "") if parted else (text, "")
    return Tile(
        label=label,
        figure=figure if text == n.NOT_KNOWN else sign + figure,
        unit=scale,
        note=note,
        exact=n.count(value) + (unit if n.number(value) is not None else ""),
    )


def _whole(value: n.Number) -> n.Number:
    known = n.number(value)
    return round(known) if known is not None else value


def _unit(cost: Json) -> str:
    samples = cost.get("samples_per_run")
    if samples is None and isinstance(cost.get("batch"), Mapping):
        return "sample"
    return "run" if samples is None else "sample" if samples == 1 else f"run of {n.count(samples)} samples"
