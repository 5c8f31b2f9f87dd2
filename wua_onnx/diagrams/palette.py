"""How diagrams look: plain attributes in the DOT text, and a style sheet by which SVG follows light and dark.

The page of a report, or any page that shows the SVG, may set the `--wua-…` variables itself.
"""

from __future__ import annotations

FONT = "Helvetica"
INK, LINE, MUTED = "#1f2430", "#8a93a3", "#5b6472"
STRONG, WEAK = "#c8371f", "#a3abb8"
KINDS = {
    "convolution": "#dbe8fb",
    "dense": "#e6dffa",
    "activation": "#fdecc8",
    "input": "#e4f3e6",
    "output": "#e4f3e6",
    "other": "#f1f3f6",
}
_DARK = {
    "convolution": "#223a5c",
    "dense": "#392f5f",
    "activation": "#4a3a14",
    "input": "#1f4027",
    "output": "#1f4027",
    "other": "#2a303a",
}
_DARK_INK, _DARK_LINE, _DARK_MUTED, _DARK_STRONG, _DARK_WEAK = "#e6e9ef", "#77808f", "#a2abb9", "#ff7d66", "#5d6675"


def kind_of(kind: object) -> str:
    """Return `kind` where it is one that has a colour, else `other`."""
    return kind if isinstance(kind, str) and kind in KINDS else "other"


def _variables(kinds: dict[str, str], ink: str, line: str, muted: str, strong: str, weak: str) -> str:
    named = {**kinds, "ink": ink, "line": line, "muted": muted, "strong": strong, "weak": weak}
    return "".join(f"--wua-{name}:{colour};" for name, colour in named.items())


STYLE = "".join(
    [
        f".wua{{{_variables(KINDS, INK, LINE, MUTED, STRONG, WEAK)}}}",
        "@media screen and (prefers-color-scheme:dark){",
        f".wua{{{_variables(_DARK, _DARK_INK, _DARK_LINE, _DARK_MUTED, _DARK_STRONG, _DARK_WEAK)}}}}}",
        ".wua text{fill:var(--wua-ink)}",
        ".wua .edge text,.wua .caption text{fill:var(--wua-muted)}",
        ".wua .edge path{stroke:var(--wua-line)}",
        ".wua .edge polygon{fill:var(--wua-line);stroke:var(--wua-line)}",
        ".wua .node path,.wua .node polygon,.wua .node ellipse{stroke:var(--wua-line)}",
        *(f".wua .{kind} path,.wua .{kind} polygon,.wua .{kind} ellipse{{fill:var(--wua-{kind})}}" for kind in KINDS),
        ".wua .edge.strong path{stroke:var(--wua-strong)}",
        ".wua .edge.weak path{stroke:var(--wua-weak)}",
        ".wua .node.dead ellipse{stroke:var(--wua-strong);fill:none}",
        ".wua .node.dead text{fill:var(--wua-strong)}",
        ".wua a:hover path,.wua a:focus path{stroke:var(--wua-ink);stroke-width:2}",
    ]
)
