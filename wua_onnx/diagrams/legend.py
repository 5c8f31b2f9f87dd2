"""Legends as Graphviz's HTML-like labels: of the project's own words and numbers alone, nothing of a model."""

from __future__ import annotations

from collections.abc import Iterable

from wua_onnx.diagrams import palette as p
from wua_onnx.diagrams.metrics import Metric

_WORDS = {
    "input": "input, output",
    "output": "input, output",
    "outside": "outside of this module",
    "other": "other",
}


def kinds(found: Iterable[str]) -> str:
    """Return the legend of the colours of kinds; `found` are those in the drawing."""
    drawn = set(found)
    words = {_WORDS.get(kind, kind): p.KINDS[kind] for kind in p.KINDS if kind in drawn}
    return _table("".join(f"{_swatch(colour)}{_text(word)}" for word, colour in words.items()))


def ramp(metric: Metric, low: float, high: float, without: bool) -> str:
    """Return the legend of colours that stand for `low` to `high`; `without`: some boxes have no such figure."""
    what = f"{metric.label}, share of the model" if metric.form == "share" else metric.label
    colours = p.RAMP if high > low else p.RAMP[-1:]
    ends = [metric.text(low)] if high > low else []
    cells = [what, *ends], [_swatch(colour) for colour in colours], [metric.text(high)]
    row = "".join([*map(_text, cells[0]), *cells[1], *map(_text, cells[2])])
    return _table(row + (_swatch(p.KINDS["other"]) + _text("no figure") if without else ""))


def lines(threshold: float, paths: int, left_out: int) -> str:
    """Return the legend of a neuron diagram."""
    words = [(p.STRONG, f"|weight| &gt; {threshold:g}"), (p.WEAK, f"|weight| ≤ {threshold:g}")]
    if paths:
        words.append((p.PATH, "strongest pathway" if paths == 1 else f"strongest {paths} pathways"))
    dashes = "".join(f'<TD><FONT COLOR="{colour}"><B>——</B></FONT></TD>{_text(word)}' for colour, word in words)
    rest = _text(f"{left_out:,} connection{'s' * (left_out != 1)} not drawn") if left_out else ""
    return _table(f'{dashes}<TD><FONT COLOR="{p.STRONG}">×</FONT></TD>{_text("dead neuron")}{rest}')


def _swatch(colour: str) -> str:
    return f'<TD BGCOLOR="{colour}" WIDTH="18" BORDER="1" COLOR="{p.LINE}"> </TD>'


def _text(words: str) -> str:
    return f'<TD ALIGN="LEFT">{words}</TD>'


def _table(row: str) -> str:
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="1" CELLPADDING="3"><TR>{row}</TR></TABLE>>'
