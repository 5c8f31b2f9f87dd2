"""What the charts of cost, structure and memory share: text that fits, bars, and a drawing for each width."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup, escape

from wua_onnx._text import innermost, shortened

WIDE, NARROW = 760, 344  # pixels; the style sheet shows one of them
_FONT = 12
_ROW = 26
_LONGEST, _BOTH_ENDS = 160, 10  # characters: of any text, and from which on its end is shown, too
_SLIM, _BROAD = frozenset("iljtfrI.,:;|!'()[]/ "), frozenset("mwMW@%&…")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: what it is, how long (a share of the longest possible), the value in words, and what adds up to it."""

    label: str
    share: float
    value: str
    cumulative: float | None = None


def for_both_widths(draw: Callable[[int], Markup]) -> Markup:
    """Return the drawing for screens and the one for phones; whichever does not fit is not shown."""
    wide, narrow = draw(WIDE), draw(NARROW)
    return Markup('<div class="wide">{}</div><div class="narrow">{}</div>').format(wide, narrow)


def svg(width: float, height: float, name: str, inside: str, kind: str = "chart") -> Markup:
    """Return a drawing; `inside` is markup in which every string of the model is escaped."""
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{escape(name)}">{inside}</svg>'
    )


def text_width(text: str, size: int = _FONT) -> float:
    """Return the pixels that a text takes at most in a wide sans-serif font."""
    return size * sum(map(_em, text))


def _em(character: str) -> float:
    if character in _SLIM:
        return 0.38
    if character in _BROAD or unicodedata.east_asian_width(character) in "FW":
        return 1.02
    return 0.78 if character.isupper() or ord(character) > 0x2FF else 0.64


def fitted(text: str, width: float, size: int = _FONT) -> str:
    """Return as much of a text as fits: the innermost of a path, else its ends; nothing below four characters."""
    text = shortened(text, _LONGEST)
    if text_width(text, size) <= width:
        return text
    inner = innermost(text, lambda end: text_width(end, size) <= width)
    if len(inner) > 2 and text_width(inner, size) > width / 3:
        return inner
    for length in range(min(len(text) - 1, int(width / (0.38 * size))), 3, -1):
        part = shortened(text, length - 1) if length > _BOTH_ENDS else f"{text[: length - 1]}…"
        if text_width(part, size) <= width:
            return part
    return ""


def words(x: float, y: float, text: str, *, anchor: Literal["start", "middle", "end"] = "start", css: str = "") -> str:
    """Return a line of text as markup, escaped; `anchor` is which part of it stands at `x`."""
    style = f' class="{css}"' if css else ""
    side = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.4g}" y="{y:.4g}"{style}{side}>{escape(text)}</text>'


def bars_svg(bars: Sequence[Bar], name: str, width: int) -> Markup:
    """Return horizontal bars with their labels left and values right, and the line of what they add up to, if any."""
    left, right = (0.27 * width, 0.17 * width) if width == WIDE else (0.31 * width, 0.29 * width)
    inner, points = width - left - right, []
    parts = []
    for row, bar in enumerate(bars):
        middle = _ROW * row + _ROW / 2
        parts.append(words(left - 8, middle + 4, fitted(bar.label, left - 8), anchor="end", css="label"))
        parts.append(f'<path class="track" d="M{left:.4g} {middle - 7:g}h{inner:.4g}v14h-{inner:.4g}z"/>')
        parts.append(f'<path class="area" d="M{left:.4g} {middle - 7:g}h{inner * bar.share:.4g}v14H{left:.4g}z"/>')
        parts.append(words(width, middle + 4, bar.value, anchor="end"))
        if bar.cumulative is not None:
            points.append((left + inner * bar.cumulative, middle))
    line = " ".join(f"{x:.4g},{y:g}" for x, y in points)
    curve = f'<polyline class="curve" points="{line}"/>' if points else ""
    dots = "".join(f'<circle cx="{x:.4g}" cy="{y:g}" r="3"/>' for x, y in points)
    return svg(width, _ROW * len(bars), f"{name}; the table behind it has the numbers", "".join(parts) + curve + dots)
