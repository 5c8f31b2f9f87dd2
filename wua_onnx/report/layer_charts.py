"""The figures of one layer as SVG, coloured by the page's own variables: spark line, histogram, Lorenz curve."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

SPARK_HEIGHT = 20
_WIDTH, _HEIGHT = 300, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 8, 10, 34
_INNER_WIDTH, _INNER_HEIGHT = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM


def spark_heights(counts: Sequence[float]) -> tuple[int, ...]:
    """Return the bins as heights in pixels of a spark line; a bin that is not empty has at least 1."""
    highest = max(counts, default=0.0)
    if not highest > 0:
        return ()
    return tuple(max(round(SPARK_HEIGHT * count / highest), int(count > 0)) for count in counts)


def spark(heights: Sequence[int]) -> Markup:
    """Return the spark line of a table cell."""
    steps = "".join(f"V{SPARK_HEIGHT - height}h{len(list(run))}" for height, run in groupby(heights))
    return Markup(
        f'<svg class="spark" viewBox="0 0 {len(heights)} {SPARK_HEIGHT}" preserveAspectRatio="none" role="img" '
        'aria-label="histogram of importance, smallest left">'
        f'<path d="M0 {SPARK_HEIGHT}{steps}V{SPARK_HEIGHT}z"/></svg>'
    )


def histogram_svg(edges: Sequence[float], counts: Sequence[float]) -> Markup:
    """Return the histogram of log10(importance / mean): bars, a line at the mean, whole powers of ten as ticks."""
    low, high, most = edges[0], edges[-1], max(counts)

    def x(value: float) -> float:
        return _LEFT + _INNER_WIDTH * (value - low) / (high - low)

    base, wide = _TOP + _INNER_HEIGHT, _INNER_WIDTH / len(counts)
    tops = [round(base - _INNER_HEIGHT * count / most) for count in counts]
    steps = "".join(f"V{top}h{wide * len(list(run)):g}" for top, run in groupby(tops))
    decades = range(round(low), round(high) + 1)
    ticks = "".join(_below(x(power), f"{10.0**power:g}×") for power in decades[:: 1 + len(decades) // 8])
    mean = f'<path class="mean" d="M{x(0):.1f} {_TOP}V{_TOP + _INNER_HEIGHT}"/>'
    axis = _named("importance over its mean (log scale)")
    return _chart(
        "Histogram of importance",
        f'{_frame()}<path class="area" d="M{_LEFT} {base}{steps}V{base}z"/>{mean}{ticks}{axis}',
    )


def lorenz_svg(points: Sequence[tuple[float, float]]) -> Markup:
    """Return the Lorenz curve: shares of importance over shares of weights, from the smallest up, and the diagonal."""
    place = " ".join(f"{_LEFT + _INNER_WIDTH * x:.4g},{_TOP + _INNER_HEIGHT * (1 - y):.4g}" for x, y in points)
    even = f'<path class="mean" d="M{_LEFT} {_TOP + _INNER_HEIGHT}L{_WIDTH - _RIGHT} {_TOP}"/>'
    ticks = "".join(_below(_LEFT + _INNER_WIDTH * share / 100, f"{share} %") for share in (0, 50, 100))
    sides = "".join(
        f'<text x="{_LEFT - 4}" y="{_TOP + _INNER_HEIGHT * (1 - share / 100) + 4:.1f}" text-anchor="end">{share}</text>'
        for share in (0, 50, 100)
    )
    curve = f'<polyline class="curve" points="{place}"/>'
    axis = _named("weights, smallest first; up: % of importance")
    return _chart("Lorenz curve of importance", f"{_frame()}{even}{curve}{ticks}{sides}{axis}")


def _chart(name: str, inside: str) -> Markup:
    return Markup(
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{name}; the table behind it has the numbers">{inside}</svg>'
    )


def _frame() -> str:
    return f'<path class="grid" d="M{_LEFT} {_TOP}V{_TOP + _INNER_HEIGHT}H{_WIDTH - _RIGHT}"/>'


def _below(x: float, text: str) -> str:
    anchor = "end" if x > _WIDTH - _RIGHT - 12 else "middle"
    return f'<text x="{x:g}" y="{_TOP + _INNER_HEIGHT + 13}" text-anchor="{anchor}">{text}</text>'


def _named(text: str) -> str:
    return f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">{text}</text>'
