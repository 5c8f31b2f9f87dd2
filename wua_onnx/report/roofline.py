"""The roofline of a profile as SVG, coloured by the page's own variables.

Source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from wua_onnx.report.profile import node_row

Json = Mapping[str, Any]

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 28, 48
_LEAST, _MOST = 3.0, 16.0  # pixels of a dot's radius


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """A logarithmic axis: whole decades, and the pixels of its ends."""

    low: int
    high: int
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.start)


def roofline(timed: Sequence[Json], peak: Json) -> Markup | None:
    """Return the drawing; None where no node has both operations and bytes, or a peak is not known.

    Args:
        timed: entries of `timed` of a profile.
        peak: its `peak`, in GFLOP/s and GB/s.
    """
    points = [(part, part["flops"] / part["bytes"], part["gflops"]) for part in timed if part["gflops"]]
    if not points or not peak["gflops"] > 0 or not peak["gbps"] > 0:
        return None
    ridge = peak["gflops"] / peak["gbps"]
    x = _scale([ridge, *(p[1] for p in points)], _LEFT, _WIDTH - _RIGHT)
    y = _scale([peak["gflops"], *(p[2] for p in points)], _HEIGHT - _BOTTOM, _TOP)
    return Markup(  # every string of the model is escaped below
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="Roofline: rate over intensity of {len(points)} nodes; the table behind it has the numbers">'
        + "".join([*_grid(x, y), _roof(x, y, peak, ridge), *(_dot(x, y, *point) for point in points)])
        + "</svg>"
    )


def _scale(values: Sequence[float], start: float, end: float) -> _Scale:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
    return _Scale(low=low, high=max(high, low + 1), start=start, end=end)


def _grid(x: _Scale, y: _Scale) -> Iterator[str]:
    """Yield a line and a number for each decade, and what the axes are."""
    for power in range(x.low, x.high + 1):
        at = x.at(10.0**power)
        yield f'<path class="grid" d="M{at:.1f} {y.start:.1f}V{y.end:.1f}"/>'
        yield f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{10.0**power:g}</text>'
    for power in range(y.low, y.high + 1):
        at = y.at(10.0**power)
        yield f'<path class="grid" d="M{x.start:.1f} {at:.1f}H{x.end:.1f}"/>'
        yield f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{10.0**power:g}</text>'
    yield f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 10}" text-anchor="end">FLOP per byte moved</text>'
    yield f'<text x="8" y="{_TOP - 12}">GFLOP/s</text>'


def _roof(x: _Scale, y: _Scale, peak: Json, ridge: float) -> str:
    """Return the measured peak: the slope of memory from where it enters the picture, then the flat of arithmetic."""
    first = max(10.0**x.low, 10.0**y.low / peak["gbps"])
    corners = [(first, first * peak["gbps"]), (ridge, peak["gflops"]), (10.0**x.high, peak["gflops"])]
    return f'<polyline class="roof" points="{" ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in corners)}"/>'


def _dot(x: _Scale, y: _Scale, part: Json, intensity: float, rate: float) -> str:
    row = node_row(part)
    radius = _LEAST + (_MOST - _LEAST) * math.sqrt(min(max(part["share"] or 0.0, 0.0), 1.0))
    words = escape(
        f"{row.name} ({row.detail}): {row.time}, {row.share}; {row.gflops} GFLOP/s, {intensity:.3g} FLOP/byte"
    )
    return f'<circle cx="{x.at(intensity):.1f}" cy="{y.at(rate):.1f}" r="{radius:.1f}"><title>{words}</title></circle>'
