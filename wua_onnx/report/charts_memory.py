"""The figures of the memory: activations that are alive as the run proceeds, at their peak, and weights by dtype."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from wua_onnx._text import visible
from wua_onnx.report import numbers as n
from wua_onnx.report.charts_svg import Bar, bars_svg, fitted, for_both_widths, svg, words
from wua_onnx.report.charts_tree import not_drawn

Json = Mapping[str, Any]
Row = tuple[str, ...]

_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 250, 62, 12, 30, 40
_ALIVE = 8  # bars
_ROWS = 24  # stretches in the table behind the curve
_STEPS = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
_TOKENS = (1_024, 8_192, 32_768)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing, or the reason why there is none, and the table behind it."""

    title: str
    svg: Markup | None
    reason: str
    caption: str
    heads: Row
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFigures:
    """The section."""

    charts: tuple[Chart, ...]
    kv_cache: str
    unsized: int


def memory_figures(cost: Json) -> MemoryFigures:
    """Return the figures of the memory of a cost report; of one of an older version, those it has data for."""
    live = cost.get("live_bytes")
    charts = [_curve(live) if live else _no_curve(cost)]
    if live and live["alive"]:
        charts.append(_alive(live))
    by_dtype = cost.get("weight_bytes_by_dtype")
    if by_dtype:
        charts.append(_weights(by_dtype))
    return MemoryFigures(charts=tuple(charts), kv_cache=_kv_cache(cost), unsized=len(cost.get("unsized") or ()))


def _no_curve(cost: Json) -> Chart:
    if "live_bytes" not in cost:
        reason = "No drawing: this audit is of a version that kept the peak only"
    elif cost["symbols"]:
        reason = not_drawn("activations", cost)
    else:
        reason = "No drawing: no activation has a known size"
    return Chart(title="Live activations", svg=None, reason=reason, caption="", heads=(), rows=())


def _curve(live: Json) -> Chart:
    sizes = [n.ratio(size, 1) or 0.0 for size in live["bytes"]]
    peak = sizes.index(max(sizes))
    bound = ", ".join(f"{visible(name)} = {size}" for name, size in live["dims"].items())
    made = ", ".join(visible(name, 80) for name in live["made"][:3])
    where = _moment(live["at"][peak], live["moments"])
    caption = (
        f"Bytes of activations alive at each node in execution order{f' ({bound})' if bound else ''}. "
        f"The peak, {n.size(live['bytes'][peak])}, is at {where}{f', which makes {made}' if made else ''}; "
        "weights are not part of it."
    )
    if len(sizes) < live["moments"]:
        caption += f" Each point is the most of {-(-live['moments'] // len(sizes))} moments."
    return Chart(
        title="Live activations",
        svg=for_both_widths(lambda width: _curve_svg(live, sizes, peak, width)),
        reason="",
        caption=caption,
        heads=("Moments", "Most bytes alive", "Of the peak"),
        rows=tuple(_stretches(live, sizes)),
    )


def _moment(at: int, moments: int) -> str:
    """Return what happens then: the first moment is the start, the last one the end."""
    if at in (0, moments - 1):
        return "the start" if at == 0 else "the end"
    return f"step {at:,} of {moments - 2:,}"


def _stretches(live: Json, sizes: Sequence[float]) -> Iterator[Row]:
    wide = -(-len(sizes) // _ROWS)
    for start in range(0, len(sizes), wide):
        part = sizes[start : start + wide]
        first, last = live["at"][start], live["at"][start + len(part) - 1]
        span = f"{first:,}" if first == last else f"{first:,} to {last:,}"
        yield span, n.size(round(max(part))), n.percent(max(part) / (max(sizes) or 1.0))


def _curve_svg(live: Json, sizes: Sequence[float], peak: int, width: int) -> Markup:
    last, top = max(int(live["moments"]) - 1, 1), _ceiling(max(sizes))
    inner, high, base = width - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM, _HEIGHT - _BOTTOM

    def x(moment: float) -> float:
        return _LEFT + inner * moment / last

    def y(size: float) -> float:
        return base - high * size / top

    steps = "".join(f"V{y(size):.1f}H{x(after):.1f}" for size, after in zip(sizes, _ends(live), strict=True))
    at = x(live["at"][peak])
    label = fitted(f"peak {n.size(round(sizes[peak]))}", inner)
    return svg(
        width,
        _HEIGHT,
        "Activations alive over the run; the table behind it has the numbers",
        "".join(_grid(top, base, high, width))
        + f'<path class="area" d="M{_LEFT} {base}{steps}V{base}z"/>'
        + f'<path class="mean" d="M{at:.1f} {_TOP}V{base}"/><circle cx="{at:.1f}" cy="{y(sizes[peak]):.1f}" r="4"/>'
        + words(at, _TOP - 8, label, anchor="end" if at > width / 2 else "start", css="label")
        + words(_LEFT, _HEIGHT - 22, "start")
        + words(width - _RIGHT, _HEIGHT - 22, "end", anchor="end")
        + words(_LEFT + inner / 2, _HEIGHT - 6, f"{last - 1:,} steps, in order", anchor="middle"),
    )


def _ends(live: Json) -> list[float]:
    """Return to where each point is drawn: to the middle between it and the next one."""
    return [*((a + b) / 2 for a, b in pairwise(live["at"])), float(max(live["moments"] - 1, 1))]


def _ceiling(most: float) -> float:
    """Return a round number of bytes, in powers of 1024, that is at least `most`."""
    unit = 1.0
    while most / unit >= 1024:
        unit *= 1024
    digit = 1.0
    while most / unit > 10 * digit:
        digit *= 10
    return next((unit * digit * step for step in _STEPS if unit * digit * step >= most), most) or 1.0


def _grid(top: float, base: float, high: float, width: int) -> Iterator[str]:
    for part in (0.0, 0.5, 1.0):
        at = base - high * part
        yield f'<path class="grid" d="M{_LEFT} {at:.1f}H{width - _RIGHT}"/>'
        yield words(_LEFT - 6, at + 4, n.size(round(top * part)), anchor="end")


def _alive(live: Json) -> Chart:
    known = [(part["name"], n.ratio(part["bytes"], 1) or 0.0) for part in live["alive"]]
    whole = max((n.ratio(size, 1) or 0.0 for size in live["bytes"]), default=0.0) or 1.0
    shown = [(visible(name), size) for name, size in known[:_ALIVE]]
    rest = whole - sum(size for _, size in shown)
    rows = [*((visible(name), size) for name, size in known)]
    beyond = whole - sum(size for _, size in rows)
    return _bars(
        title="Alive at the peak",
        shown=[*shown, *([("everything else", rest)] if rest > 0 else [])],
        rows=[*rows, *([("everything else", beyond)] if beyond > 0 else [])],
        whole=whole,
        caption="The tensors that are in memory at the peak, the largest first.",
        head="Tensor",
    )


def _weights(by_dtype: Json) -> Chart:
    sizes = [(visible(dtype).lower(), n.ratio(size, 1) or 0.0) for dtype, size in by_dtype.items()]
    ranked = sorted(sizes, key=lambda pair: -pair[1])
    return _bars(
        title="Weights by element type",
        shown=ranked,
        rows=ranked,
        whole=sum(size for _, size in ranked) or 1.0,
        caption="Each parameter counts once; types below a byte are packed.",
        head="Element type",
    )


def _bars(
    *,
    title: str,
    shown: Sequence[tuple[str, float]],
    rows: Sequence[tuple[str, float]],
    whole: float,
    caption: str,
    head: str,
) -> Chart:
    bars = [Bar(label=name, share=min(size / whole, 1.0), value=n.size(round(size))) for name, size in shown]
    return Chart(
        title=title,
        svg=for_both_widths(lambda width: bars_svg(bars, title, width)),
        reason="",
        caption=caption,
        heads=(head, "Bytes", "Share"),
        rows=tuple((name, n.size(round(size)), n.percent(size / whole)) for name, size in rows),
    )


def _kv_cache(cost: Json) -> str:
    """Return what the key-value caches take; empty where the model keeps none."""
    value = cost.get("kv_cache_bytes_per_token")
    if value is None:
        return ""
    known = n.number(value)
    each = f"Key-value caches: {n.size(value)} for each token of a sequence"
    if not isinstance(known, int):
        return f"{each}."
    return f"{each}; " + ", ".join(f"{n.size(known * count)} for {count:,}" for count in _TOKENS) + " tokens."
