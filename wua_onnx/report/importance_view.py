"""The sections on importance and activations: criteria side by side, what was recorded and what was not."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wua_onnx._text import visible
from wua_onnx.report import numbers as n
from wua_onnx.report.layer_detail import mean_text
from wua_onnx.report.rows import NOTHING
from wua_onnx.report.small_table import Table

Json = Mapping[str, Any]

SHOWN = 200  # layers in a table


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportanceView:
    """What the criteria say, where they agree, and which parameters none of them has seen."""

    lines: tuple[str, ...]
    criteria: Table | None
    layers: Table | None
    unrecorded: Table | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationsView:
    """What was recorded of the neurons."""

    lines: tuple[str, ...]
    layers: Table | None


def importance_view(audit: Json) -> ImportanceView:
    """Return the section on importance."""
    names, layers = audit["settings"]["criterion"], audit["layers"]
    unrecorded = audit["coverage"].get("unrecorded") or ()
    rows = tuple((visible(u["name"]), n.count(u["elements"]), visible(u["reason"])) for u in unrecorded[:SHOWN])
    return ImportanceView(
        lines=tuple(_coverage_lines(audit["coverage"])),
        criteria=_criteria(names, layers) if len(names) > 1 else None,
        layers=_side_by_side(names, layers) if len(names) > 1 else None,
        unrecorded=Table(title="Layers that were not recorded", heads=("Layer", "Weights", "Reason"), rows=rows)
        if rows
        else None,
    )


def _coverage_lines(coverage: Json) -> Iterator[str]:
    share = n.ratio(coverage["analysed"], coverage["parameters"])
    yield (
        f"{n.count(coverage['analysed'])} of {n.count(coverage['parameters'])} parameters ({n.percent(share)}) belong "
        "to an analysed layer."
    )
    for key, words, noun, end in (
        ("declined", "In no layer", "tensor", "; the method section says why."),
        ("unrecorded", "Not recorded and so judged by no criterion that needs data", "layer", "."),
    ):
        parts = coverage.get(key) or ()
        if parts:
            elements = sum(n.number(part["elements"]) or 0 for part in parts)
            yield f"{words}: {n.plural(len(parts), noun)} ({n.count(elements)} elements){end}"
    yield (
        "Not verified: no weight was taken away to run the model again. Importance says what the weights and the data "
        "suggest; what a removal costs in accuracy is for a test to tell."
    )


def _criteria(names: Sequence[str], layers: Sequence[Json]) -> Table:
    """Return each criterion over all layers, and how its order of layers agrees with that of the first."""
    rows = []
    for name in names:
        scored = [layer["criteria"][name]["metrics"] for layer in layers if name in layer["criteria"]]
        weights, effective = (
            sum(n.ratio(part.get(key), 1) or 0.0 for part in scored) for key in ("total", "effective")
        )
        rows.append(
            (visible(name), n.count(len(scored)), n.short(effective), n.percent(n.ratio(effective, weights)),
             _agreement(names[0], name, layers))
        )  # fmt: skip
    heads = ("Criterion", "Layers", "Effective weights", "Utilization", "Order of layers agrees (Spearman)")
    return Table(title="Criteria", heads=heads, rows=tuple(rows))


def _agreement(first: str, other: str, layers: Sequence[Json]) -> str:
    if first == other:
        return NOTHING
    both = [layer["criteria"] for layer in layers if first in layer["criteria"] and other in layer["criteria"]]
    pairs = [(each[first]["metrics"].get("utilization"), each[other]["metrics"].get("utilization")) for each in both]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    rho = spearman([a for a, _ in known], [b for _, b in known])
    return n.NOT_KNOWN if rho is None else n.decimal(rho, 2)


def spearman(first: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, ties at their mean rank; None for fewer than 3, or where one is constant."""
    if len(first) < 3:
        return None
    a, b = _ranks(first), _ranks(other)
    mean = (len(a) - 1) / 2
    along = sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    spread = sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b)
    return along / spread**0.5 if spread > 0 else None


def _ranks(values: Sequence[float]) -> list[float]:
    ranks, start = [0.0] * len(values), 0
    order = sorted(range(len(values)), key=values.__getitem__)
    for _, group in itertools.groupby(order, key=values.__getitem__):
        places = list(group)
        for place in places:
            ranks[place] = start + (len(places) - 1) / 2
        start += len(places)
    return ranks


def _side_by_side(names: Sequence[str], layers: Sequence[Json]) -> Table:
    rows = []
    for layer in layers[:SHOWN]:
        found = [layer["criteria"].get(name) or {} for name in names]
        metrics = [part.get("metrics") or {} for part in found]
        cells = [text for side in metrics for text in (n.percent(side.get("utilization")), n.decimal(side.get("gini")))]
        rows.append((visible(layer["name"]), *cells, *(_overlap(found[0], other) for other in found[1:])))
    shown = [visible(name) for name in names]
    heads = [f"{name}: {what}" for name in shown for what in ("utilization", "gini")]
    common = [f"strongest neurons shared with {name}" for name in shown[1:]]
    return Table(title="Criteria by layer", heads=("Layer", *heads, *common), rows=tuple(rows))


def _overlap(first: Json, other: Json) -> str:
    """Return how many of the strongest neurons, half of them at most, are among those of the other criterion too."""
    both = [part.get("strongest") or () for part in (first, other)]
    most = min(map(len, both)) // 2
    if not most:
        return n.NOT_KNOWN
    return f"{len(set(both[0][:most]) & set(both[1][:most]))} of {most}"


def activations_view(audit: Json) -> ActivationsView | None:
    """Return the section on activations; None where nothing was recorded."""
    recording = audit["recording"]
    if not recording or not recording.get("samples"):
        return None
    layers = [layer for layer in audit["layers"][:SHOWN] if layer["mean_activation"]]
    always = any(layer.get("always_on") is not None for layer in layers)
    rows = tuple(_activation_row(layer)[: None if always else -1] for layer in layers)
    heads = ("Layer", "Function", "Mean |a| ± standard error", "Least", "Most", "Dead neurons", *["Always on"] * always)
    return ActivationsView(
        lines=tuple(_recorded_lines(recording)),
        layers=Table(title="Activations by layer", heads=heads, rows=rows) if rows else None,
    )


def _activation_row(layer: Json) -> tuple[str, ...]:
    mean = layer["mean_activation"]
    dead = layer["dead_neurons"]
    return (
        visible(layer["name"]),
        visible(layer["activation"] or NOTHING),
        mean_text(mean),
        f"{mean['min']:.3g}",
        f"{mean['max']:.3g}",
        n.NOT_KNOWN if dead is None else f"{n.count(dead)} of {n.count(layer['neurons'])}",
        "not recorded" if layer.get("always_on") is None else n.count(layer["always_on"]),
    )


def _recorded_lines(recording: Json) -> Iterator[str]:
    yield f"{n.count(recording['samples'])} samples in {n.plural(recording['batches'], 'batch', 'batches')}."
    if recording.get("accuracy") is not None:
        yield f"Accuracy on them: {n.percent(recording['accuracy'])}."
    if recording.get("mask"):
        yield f"Positions that {visible(recording['mask'])} sets to 0 count in no mean."
    if recording.get("unmasked"):
        yield f"The mask does not reach {_named(recording['unmasked'])}: padding counts there."
    if recording.get("mixes_samples"):
        yield f"These mix samples of a batch, so means depend on the batch size: {_named(recording['mixes_samples'])}."
    if recording.get("precision"):
        yield f"Not in the model's own element types: {visible(recording['precision'])}."
    for name, reason in itertools.islice((recording.get("missing") or {}).items(), 20):
        yield f"Not recorded: {visible(name)} ({visible(reason)})."
    for name, reason in itertools.islice((recording.get("partly") or {}).items(), 20):
        yield f"Recorded and scored by its other uses: {visible(name)} ({visible(reason)})."


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(visible(name) for name in names[:5]) + more
