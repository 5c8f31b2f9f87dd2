"""The figures of the page: each a drawing, its legend, its caption, and the table that stands behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from wua_onnx._text import visible
from wua_onnx.diagrams import dot
from wua_onnx.diagrams.draw import Drawing, to_svg
from wua_onnx.diagrams.of_audit import graph_of
from wua_onnx.diagrams.palette import STYLE, kind_of
from wua_onnx.report import numbers as n

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendItem:
    """A colour of the drawing and what it stands for."""

    css: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A drawing (or the reason why there is none) and the same in words."""

    title: str
    svg: Markup | None
    reason: str | None
    caption: str
    legend: tuple[LegendItem, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def figures_of(audit: Json) -> tuple[Figure, ...]:
    """Return the figures that the audit has data for; drawing them starts one child process each."""
    diagrams = audit.get("diagrams") or {}
    links = {layer["name"]: f"#layer-{index}" for index, layer in enumerate(audit["layers"])}
    found = []
    if diagrams.get("graph"):
        found.append(_graph(audit, diagrams["graph"], links))
    if diagrams.get("network"):
        found.append(_network(diagrams["network"]))
    return tuple(found)


def _graph(audit: Json, diagram: Json, links: Mapping[str, str]) -> Figure:
    drawn = dot.graph(diagram, links)
    drawn.simpler = graph_of(audit, None, with_legend=False).simpler
    return boxes_figure("Graph", diagram, to_svg(drawn, prefix="graph"))


def boxes_figure(title: str, diagram: Json, drawing: Drawing) -> Figure:
    """Return the figure of a graph diagram that is drawn."""
    boxes = diagram["boxes"]
    parts = [n.plural(len(boxes), "box", "boxes")]
    if diagram["folded"]:
        parts.append(f"{n.plural(diagram['folded'], 'node')} folded into them")
    if diagram["left_out"]:
        parts.append(f"{n.plural(diagram['left_out'], 'edge')} not drawn")
    note = f" Note: {drawing.reason}." if drawing.svg is not None and drawing.reason else ""
    return _figure(
        title=title,
        drawing=drawing,
        caption=", ".join(parts) + f". Shapes stand on the edges; a box of a layer leads to it.{note}",
        legend=_kinds(boxes),
        heads=("Box", "What", "Times", "MACs", "Share"),
        rows=(_box_row(box) for box in boxes),
    )


def _box_row(box: Json) -> tuple[str, ...]:
    macs, share = n.short(box.get("macs")), n.percent(box.get("share"))
    return visible(box["label"]), visible(box.get("detail") or ""), n.count(box.get("count", 1)), macs, share


def _kinds(boxes: Iterable[Json]) -> tuple[LegendItem, ...]:
    names = {"input": "input, output", "output": "input, output"}
    found = {names.get(kind, kind): kind for kind in (kind_of(box.get("kind")) for box in boxes)}
    return tuple(LegendItem(css=kind, label=label) for label, kind in found.items())


def _network(diagram: Json) -> Figure:
    threshold = n.decimal(diagram["threshold"], 2)
    left_out = diagram["left_out"]
    caption = "Lines are as thick as their weight; " + (
        f"{n.plural(left_out, 'weaker connection')} not drawn." if left_out else "every connection is drawn."
    )
    return _figure(
        title="Neurons",
        drawing=to_svg(dot.network(diagram), prefix="network"),
        caption=caption,
        legend=(
            LegendItem(css="strong", label=f"|weight| > {threshold}"),
            LegendItem(css="weak", label=f"|weight| ≤ {threshold}"),
            *((LegendItem(css="path", label="strongest pathways"),) if diagram.get("paths") else ()),
            LegendItem(css="dead", label="dead neuron"),
        ),
        heads=("Layer", "Neurons drawn", "Left out", "Dead among them"),
        rows=(_layer_row(layer) for layer in diagram["layers"]),
    )


def _layer_row(layer: Json) -> tuple[str, ...]:
    dead = sum(bool(neuron.get("dead")) for neuron in layer["neurons"])
    return visible(layer["name"]), n.count(len(layer["neurons"])), n.count(layer["left_out"]), n.count(dead)


def _figure(
    *, title: str, drawing: Drawing, caption: str, legend: tuple[LegendItem, ...], heads: tuple[str, ...], rows: Any
) -> Figure:
    # The page has the style sheet once for all its drawings.
    svg = Markup(drawing.svg.replace(f"<style>{STYLE}</style>", "", 1)) if drawing.svg is not None else None
    return Figure(
        title=title, svg=svg, reason=drawing.reason, caption=caption, legend=legend, heads=heads, rows=tuple(rows)
    )
