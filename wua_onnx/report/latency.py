"""The latency part of a report: the tables of a profile, and its roofline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wua_onnx._text import visible
from wua_onnx.report import numbers as n
from wua_onnx.report.figures import Figure
from wua_onnx.report.profile import LEGEND, TimeRow, conditions, coverage, longest, node_row, operator_row
from wua_onnx.report.roofline import roofline

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyView:
    """The section; where nothing was measured, `error` says why and the rest is empty."""

    error: str
    conditions: tuple[str, ...] = ()
    operators: tuple[TimeRow, ...] = ()
    nodes: tuple[TimeRow, ...] = ()
    shorter: int = 0
    coverage: tuple[str, ...] = ()
    roofline: Figure | None = None


def latency_view(profile: Json | None) -> LatencyView | None:
    """Return the section from the `profile` part of an audit; None where none was asked for."""
    if profile is None:
        return None
    if profile.get("error"):
        return LatencyView(error=f"Not measured: {visible(profile['error'], 400)}")
    nodes = longest(profile["timed"])
    return LatencyView(
        error="",
        conditions=tuple(conditions(profile)),
        operators=tuple(map(operator_row, profile["by_operator"])),
        nodes=tuple(map(node_row, nodes)),
        shorter=len(profile["timed"]) - len(nodes),
        coverage=(*coverage(profile), LEGEND),
        roofline=_figure(profile),
    )


def _figure(profile: Json) -> Figure | None:
    shown = [part for part in longest(profile["timed"]) if n.number(part["flops"]) and n.number(part["bytes"])]
    svg = roofline(shown, profile["peak"])
    if svg is None:
        return None
    return Figure(
        title="Roofline",
        svg=svg,
        reason=None,
        caption=(
            "Each dot is a node (or nodes fused into one kernel), the larger the more time it takes; the line is "
            "what this machine was measured to reach: memory bounds the slope, arithmetic the flat part. "
            "What lies above it was served by caches, or the peak was measured while the machine was busy."
        ),
        legend=(),
        heads=("Node", "FLOP/byte", "GFLOP/s", "Of attainable", "Share of time"),
        rows=tuple(_point(part) for part in shown),
    )


def _point(part: Json) -> tuple[str, ...]:
    row = node_row(part)
    return row.name, f"{part['flops'] / part['bytes']:.3g}", row.gflops, row.attainable, row.share
