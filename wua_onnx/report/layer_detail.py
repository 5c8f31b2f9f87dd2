"""All that the page says of one layer: its figures beside the untrained ones, drawings, neurons, gates, heads."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from wua_onnx._text import visible
from wua_onnx.report import numbers as n
from wua_onnx.report.layer_charts import histogram_svg, lorenz_svg
from wua_onnx.report.layer_pictures import Pictures
from wua_onnx.report.method import Fact
from wua_onnx.report.rows import first_criterion, place, shape
from wua_onnx.report.small_table import Table

Json = Mapping[str, Any]

STRONGEST = 12  # neurons in the table of the strongest
_LINES = 10  # lines of the table behind a histogram
_DEAD = 40  # runs of dead neurons that are written out
_PERCENT = ("utilization", "coverage 50 %", "coverage 80 %", "coverage 90 %", "below 1 % of the largest")
_COVERAGE = {"coverage 50 %": "0.5", "coverage 80 %": "0.8", "coverage 90 %": "0.9"}
_METRICS = (
    "effective", "utilization", "redundancy", "gini", "entropy", "between neurons", "within neurons", *_COVERAGE,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing and the table behind it."""

    title: str
    svg: Markup
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerDetail:
    """One layer."""

    index: int
    anchor: str
    name: str
    summary: str
    facts: tuple[Fact, ...]
    metrics: Table
    charts: tuple[Chart, ...]
    pictures: Pictures
    tables: tuple[Table, ...]
    dead: str


def layer_detail(layer: Json, index: int, attention: Sequence[Json], pictures: Pictures | None = None) -> LayerDetail:
    """Return what is said of one layer.

    Args:
        layer: its JSON.
        index: its place among the layers.
        attention: `attention` of the audit, of which the heads of this layer are told.
        pictures: of its weights.
    """
    judged, word = first_criterion(layer), _neurons(layer)
    tables = [_strongest(layer, judged, word), _gates(judged), *_heads(layer["name"], attention)]
    return LayerDetail(
        index=index,
        anchor=f"layer-{index}",
        name=visible(layer["name"]),
        summary=f"{visible(layer['kind'])} {shape(layer['weight_shape'])}",
        facts=tuple(_facts(layer, word)),
        metrics=_metrics(layer["criteria"]),
        charts=tuple(_charts(judged)),
        pictures=pictures or Pictures(),
        tables=tuple(table for table in tables if table is not None),
        dead=_dead(layer, word),
    )


def _neurons(layer: Json) -> str:
    return "channel" if "conv" in layer["kind"] else "neuron"


def _facts(layer: Json, word: str) -> Iterator[Fact]:
    mean = layer.get("mean_activation") or {}
    facts = [
        ("operator", visible(layer["op"])),
        ("class of its module", visible(layer.get("module_class") or "")),
        ("called at", place(layer.get("source") or "")),
        ("batch normalisation in its weights", visible(layer.get("folded") or "")),
        ("weight", visible(layer.get("weight", ""))),
        ("shape, type", f"{shape(layer['weight_shape'])} {visible(layer.get('dtype') or '').lower()}"),
        (f"{word}s", f"{n.count(layer['neurons'])}, along axis {n.count(layer['neuron_axis'])}"),
        ("nodes", ", ".join(visible(name, 60) for name in layer["nodes"][:3]) + "…" * (len(layer["nodes"]) > 3)),
        ("MACs", n.short(layer["macs"])),
        ("activation", visible(layer["activation"] or "none found")),
        ("mean |activation|", mean_text(mean)),
    ]
    return (Fact(label=label, value=value) for label, value in facts if value)


def mean_text(mean: Json) -> str:
    """Return a mean with its standard error; empty where nothing was recorded."""
    if mean.get("mean") is None:
        return ""
    error = mean.get("standard_error")
    return f"{mean['mean']:.3g}" + (f" ± {error:.1g}" if error is not None else "")


def _metrics(criteria: Json) -> Table:
    sides: list[tuple[str, Json]] = []
    for name, part in criteria.items():
        sides.append((visible(name), part["metrics"] or {}))
        if part["baseline"]:
            sides.append(("untrained", part["baseline"]))
    rows = ((name, *(_metric(side, name) for _, side in sides)) for name in _METRICS)
    return Table(title="Metrics", heads=("Metric", *(head for head, _ in sides)), rows=tuple(rows))


def _metric(side: Json, name: str) -> str:
    value = (side.get("coverage") or {}).get(_COVERAGE[name]) if name in _COVERAGE else side.get(name.replace(" ", "_"))
    if name == "effective":
        return n.amount(value) if n.number(value) is None else f"{value:,.0f}"
    return n.percent(value) if name in _PERCENT else n.decimal(value)


def _charts(judged: Json) -> Iterator[Chart]:
    histogram, lorenz = judged.get("histogram") or {}, judged.get("lorenz") or ()
    edges, counts = histogram.get("edges") or (), [n.ratio(c, 1) or 0.0 for c in histogram.get("counts") or ()]
    if any(counts):
        rows = tuple(
            (f"{10**low:.3g} – {10**high:.3g}", f"{count:,.0f}") for low, high, count in _joined(edges, counts)
        )
        table = Table(title="Histogram", heads=("Importance / mean", "Weights"), rows=rows)
        yield Chart(title="Importance of its weights", svg=histogram_svg(edges, counts), table=table)
    if lorenz:
        shares = [index / (len(lorenz) - 1) for index in range(len(lorenz))]
        points = [(0.0, 0.0), *((1 - x, 1 - y) for x, y in zip(reversed(lorenz), reversed(shares), strict=True))]
        rows = tuple((n.percent(y), n.percent(x)) for x, y in list(zip(lorenz, shares, strict=True))[2:-1:2])
        table = Table(title="Lorenz", heads=("Importance", "held by the largest"), rows=rows)
        yield Chart(title="How unequal they are", svg=lorenz_svg(points), table=table)


def _joined(edges: Sequence[float], counts: Sequence[float]) -> Iterator[tuple[float, float, float]]:
    """Yield runs of bins as first edge, last edge, count: a table of `_LINES` lines; empty ones are left out."""
    step = -(-len(counts) // _LINES)
    for start in range(0, len(counts), step):
        stop = min(start + step, len(counts))
        if count := sum(counts[start:stop]):
            yield edges[start], edges[stop], count


def _strongest(layer: Json, judged: Json, word: str) -> Table | None:
    sums, places = judged.get("neuron_importance") or (), judged.get("strongest") or ()
    total = (judged.get("metrics") or {}).get("sum")
    if not places or not n.ratio(total, 1):
        return None
    found = list(zip(places, sums, strict=False))[:STRONGEST]
    rows = tuple((n.count(place), f"{value:.4g}", n.percent(n.ratio(value, total))) for place, value in found)
    even = n.percent(n.ratio(1, layer["neurons"]))
    title = f"Strongest {word}s ({len(rows)} of {n.count(layer['neurons'])})"
    return Table(
        title=title, heads=(word.capitalize(), "Importance", "Share"), rows=rows, note=f"An even share: {even}."
    )


def _gates(judged: Json) -> Table | None:
    rows = tuple(
        (visible(gate["name"]), n.percent(gate["share"]), n.percent(gate["utilization"]), n.decimal(gate["gini"]))
        for gate in judged.get("gates") or ()
    )
    heads = ("Gate", "Share of importance", "Utilization", "Gini")
    return Table(title=f"Gates ({len(rows)})", heads=heads, rows=rows) if rows else None


def _heads(name: str, attention: Sequence[Json]) -> Iterator[Table]:
    """Yield the heads of each attention that the layer is a part of."""
    for block in attention:
        for role, parts in block["parts"].items():
            for part in parts:
                if part["layer"] == name and part.get("importance"):
                    yield _block(block, role, part["importance"])


def _block(block: Json, role: str, own: Sequence[float]) -> Table:
    total, dead = sum(own), block.get("dead_heads")
    lists = (block.get("head_importance") or (), block.get("similarity") or (), block.get("most_similar") or ())
    rows = []
    for head, value in enumerate(own):
        whole, cosine, other = (part[head] if head < len(part) else None for part in lists)
        alike = n.NOT_KNOWN if cosine is None else f"{n.decimal(cosine)} (head {other})"
        state = n.NOT_KNOWN if dead is None else "dead" if head in dead else "alive"
        rows.append(
            (n.count(head), n.percent(n.ratio(value, total)), n.percent(n.ratio(whole, block.get("sum"))), alike, state)
        )
    return Table(
        title=f"Heads ({len(rows)}), as {role} of {visible(block['name'])}",
        heads=("Head", "Share of this layer", "Share of all parts", "Most similar head", "State"),
        rows=tuple(rows),
        note=_effective_heads(block),
    )


def _effective_heads(block: Json) -> str:
    effective = block.get("effective")
    if effective is None:
        return "Not every part of this attention is mapped to heads."
    return f"Effective heads: {n.decimal(effective, 1)} of {n.count(block['heads'])}."


def _dead(layer: Json, word: str) -> str:
    """Return the dead neurons as runs: `3, 7–9`; empty where there are none."""
    dead = layer.get("dead") or ()
    runs = []
    for _, group in itertools.groupby(enumerate(dead), key=lambda pair: pair[1] - pair[0]):
        places = [place for _, place in group]
        runs.append(str(places[0]) if len(places) == 1 else f"{places[0]}–{places[-1]}")
    if not runs:
        return ""
    more = f" and {n.plural(len(runs) - _DEAD, 'more run')}" if len(runs) > _DEAD else ""
    return f"Dead {word}s ({n.count(layer['dead_neurons'])}): {', '.join(runs[:_DEAD])}{more}."
