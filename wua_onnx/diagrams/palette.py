"""How diagrams look: plain attributes in the DOT text, and a style sheet by which SVG follows light and dark.

The page of a report, or any page that shows the SVG, may set the `--wua-…` variables itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FONT = "Helvetica"
INK, LINE, MUTED = "#1f2430", "#8a93a3", "#5b6472"
STRONG, WEAK, PATH = "#c8371f", "#a3abb8", "#1f5fd0"
KINDS = {
    "convolution": "#dbe8fb",
    "dense": "#e6dffa",
    "activation": "#fdecc8",
    "input": "#e4f3e6",
    "output": "#e4f3e6",
    "outside": "#ffffff",
    "other": "#f1f3f6",
}
RAMP = ("#fdf3e7", "#fbe1c4", "#f9cd9d", "#f6b876", "#f1a250", "#e88c2f", "#dc7815")
DARK_RAMP = ("#2a2b2f", "#3d3229", "#513a23", "#65411d", "#794717", "#8c4e10", "#a0540a")
DARK_KINDS = {
    "convolution": "#223a5c",
    "dense": "#392f5f",
    "activation": "#4a3a14",
    "input": "#1f4027",
    "output": "#1f4027",
    "outside": "#14171c",
    "other": "#2a303a",
}
DARK_INK, _DARK_LINE, _DARK_MUTED, _DARK_STRONG, _DARK_WEAK = "#e6e9ef", "#77808f", "#a2abb9", "#ff7d66", "#5d6675"
_DARK_PATH = "#6ea8ff"


def kind_of(kind: object) -> str:
    """Return `kind` where it is one that has a colour, else `other`."""
    return kind if isinstance(kind, str) and kind in KINDS else "other"


def step_of(value: float, low: float, high: float) -> int:
    """Return which colour of the ramp stands for a value between `low` and `high`."""
    place = (value - low) / (high - low) if high > low else 1.0
    return min(max(int(place * len(RAMP)), 0), len(RAMP) - 1)


def _variables(kinds: Mapping[str, str], ramp: Sequence[str], lines: Sequence[str]) -> str:
    named = {**kinds, **{f"s{i}": colour for i, colour in enumerate(ramp)}}
    named.update(zip(("ink", "line", "muted", "strong", "weak", "path"), lines, strict=True))
    return "".join(f"--wua-{name}:{colour};" for name, colour in named.items())


_LIGHT_LINES = (INK, LINE, MUTED, STRONG, WEAK, PATH)
_DARK_LINES = (DARK_INK, _DARK_LINE, _DARK_MUTED, _DARK_STRONG, _DARK_WEAK, _DARK_PATH)
_FILLS = {**KINDS, **{f"s{i}": colour for i, colour in enumerate(RAMP)}}
_LINES = {"strong": STRONG, "weak": WEAK, "path": PATH}
STYLE = "".join(
    [
        f".wua{{{_variables(KINDS, RAMP, _LIGHT_LINES)}}}",
        "@media screen and (prefers-color-scheme:dark){",
        f".wua{{{_variables(DARK_KINDS, DARK_RAMP, _DARK_LINES)}}}}}",
        "@media screen{",  # the page of a report lets its reader choose
        f':root[data-theme="light"] .wua{{{_variables(KINDS, RAMP, _LIGHT_LINES)}}}',
        f':root[data-theme="dark"] .wua{{{_variables(DARK_KINDS, DARK_RAMP, _DARK_LINES)}}}}}',
        ".wua text{fill:var(--wua-ink)}",
        ".wua .edge text,.wua .caption text{fill:var(--wua-muted)}",
        ".wua .edge path{stroke:var(--wua-line)}",
        ".wua .edge polygon{fill:var(--wua-line);stroke:var(--wua-line)}",
        ".wua .node path,.wua .node polygon,.wua .node ellipse{stroke:var(--wua-line)}",
        *(f'.wua [fill="{colour}"]{{fill:var(--wua-{name})}}' for name, colour in _FILLS.items()),
        *(f'.wua text[fill="{colour}"]{{fill:var(--wua-{name})}}' for name, colour in _LINES.items()),
        ".wua .edge.strong path{stroke:var(--wua-strong)}",
        ".wua .edge.weak path{stroke:var(--wua-weak)}",
        ".wua .edge.path path{stroke:var(--wua-path)}",
        ".wua .edge.path text{fill:var(--wua-path)}",
        ".wua .node.onpath ellipse{stroke:var(--wua-path);stroke-width:2}",
        ".wua .node.dead ellipse{stroke:var(--wua-strong);fill:none}",
        ".wua .node.dead text{fill:var(--wua-strong)}",
        ".wua a:hover path,.wua a:focus path{stroke:var(--wua-ink);stroke-width:2}",
    ]
)
