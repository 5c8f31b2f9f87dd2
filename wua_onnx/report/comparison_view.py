"""The JSON of a comparison as text: every cell, change and tone is decided here, and no output computes anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from wua_onnx._text import visible
from wua_onnx.errors import WuaError
from wua_onnx.report import numbers as n
from wua_onnx.report.changes import ChangeRow, change_row
from wua_onnx.report.comparison_layers import LayerChange, both_have, one_has
from wua_onnx.report.rows import NOTHING

Json: TypeAlias = Mapping[str, Any]

SCHEMA_VERSION = 1
_TILES = ("params", "weight_bytes", "macs", "flops", "peak_activation_bytes", "utilization", "accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRow:
    """An output of both models."""

    name: str
    largest: str
    mean: str
    rms: str
    relative: str
    agreement: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonView:
    """A comparison."""

    before: str
    after: str
    sentence: str
    counts: tuple[str, ...]
    notes: tuple[str, ...]
    tiles: tuple[ChangeRow, ...]
    figures: tuple[ChangeRow, ...]
    outputs: tuple[OutputRow, ...]
    ran: str
    layers: tuple[LayerChange, ...]
    same: tuple[LayerChange, ...]
    sides: tuple[tuple[str, str, str], ...]
    version: str

    @property
    def changed(self) -> tuple[LayerChange, ...]:
        """The layers that both have and that changed."""
        return tuple(layer for layer in self.layers if layer.status == "changed")


def comparison_view(data: Json) -> ComparisonView:
    """Return a comparison's JSON as text.

    Raises:
        WuaError: it is of another schema version.
    """
    if data.get("schema_version") != SCHEMA_VERSION:
        got = visible(data.get("schema_version"), 40)
        raise WuaError(f"comparison: schema_version: expected {SCHEMA_VERSION}, got {got}")
    before, after = _names(data)
    figures = tuple(map(change_row, data["figures"]))
    layers = [both_have(layer) for layer in data["layers"]]
    lone = [one_has(layer, word) for word in ("added", "removed") for layer in data[word]]
    by_name = {row.name: row for row in figures}
    return ComparisonView(
        before=before,
        after=after,
        sentence=_sentence(before, after, by_name, _counts(data)),
        counts=_counts(data),
        notes=tuple(visible(note, 600) for note in data["notes"]),
        tiles=tuple(by_name[name] for name in _TILES if name in by_name),
        figures=figures,
        outputs=tuple(map(_output, (data["outputs"] or {}).get("each", ()))),
        ran=_ran(data["outputs"]),
        layers=(*(layer for layer in layers if layer.status != "same"), *lone),
        same=tuple(layer for layer in layers if layer.status == "same"),
        sides=_sides(data),
        version=visible(data["tool"]["version"], 40),
    )


def _names(data: Json) -> tuple[str, str]:
    names = tuple(visible(data[side]["name"], 60) for side in ("before", "after"))
    return ("before", "after") if names[0] == names[1] else (names[0], names[1])


def _output(one: Json) -> OutputRow:
    names = [visible(one[key], 60) for key in ("name", "after_name")]
    notes = [visible(one["error"], 200)] if one["error"] else []
    if one["non_finite"]:
        notes.append(f"{n.plural(one['non_finite'], 'value')} not finite on one side")
    return OutputRow(
        name=names[0] if names[0] == names[1] else f"{names[0]} → {names[1]}",
        largest=_small(one["largest"]),
        mean=_small(one["mean"]),
        rms=_small(one["rms"]),
        relative=NOTHING if one["relative"] is None else n.percent(one["relative"]),
        agreement=NOTHING if one["agreement"] is None else n.percent(one["agreement"]),
        note=", ".join(notes),
    )


def _small(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g}"


def _ran(outputs: Json | None) -> str:
    if outputs is None:
        return "Outputs are compared where both sides are models and there is data."
    ran = f"Both models ran on {n.plural(outputs['samples'], 'sample')}."
    return f"{ran} {visible(outputs['error'], 600)}." if outputs["error"] else ran


def _counts(data: Json) -> tuple[str, ...]:
    both = data["layers"]
    renamed = sum(layer["name"] != layer["after_name"] for layer in both)
    changed = f"{sum(layer['changed'] for layer in both):,} of {n.plural(len(both), 'layer')} in common changed"
    found = [changed if both else "no layer in common"]
    found += [f"{renamed:,} renamed"] if renamed else []
    found += [f"{len(data[word]):,} {word}" for word in ("added", "removed")]
    return tuple(found)


def _sentence(before: str, after: str, rows: Mapping[str, ChangeRow], counts: Sequence[str]) -> str:
    """Return what changed in one sentence."""
    sizes = [_compared(rows.get(name), noun) for name, noun in (("params", "parameters"), ("macs", "MACs"))]
    said = " and ".join(text for text in sizes if text)
    first = f"{after} has {said} {_than(said)} {before}" if said else f"{after} costs the same as {before}"
    accuracy = rows.get("accuracy")
    if accuracy is None or accuracy.shares is None:
        return f"{first}: {', '.join(counts)}."
    verb = {"good": "rises", "poor": "falls"}.get(accuracy.tone)
    points = accuracy.change.lstrip("+-")
    change = f"accuracy {verb} by {points} to {accuracy.after}" if verb else f"accuracy stays {accuracy.after}"
    return f"{first}; {change}."


def _compared(row: ChangeRow | None, noun: str) -> str:
    """Return "53.2 % fewer parameters"; empty where nothing can be said."""
    if row is None or row.tone not in ("good", "poor") or not row.change:
        return ""
    return f"{row.change.lstrip('+-')} {'fewer' if row.tone == 'good' else 'more'} {noun}"


def _than(said: str) -> str:
    return "than" if said else "as"


def _sides(data: Json) -> tuple[tuple[str, str, str], ...]:
    """Return what is known of both audits, a line each: what, before, after."""
    return tuple((word, tell(data["before"]), tell(data["after"])) for word, tell in _KNOWN.items())


_KNOWN: Mapping[str, Callable[[Json], str]] = {
    "model": lambda side: visible(side["name"]),
    "file": lambda side: visible(side["file"] or "given as an object"),
    "nodes": lambda side: n.count(side["nodes"]),
    "layers": lambda side: n.count(side["layers"]),
    "counts": lambda side: {"exact": "exact", "mixed": "estimate"}.get(side["bound"], f"{side['bound']} bound"),
    "dimensions": lambda side: ", ".join(f"{visible(k, 40)} = {v}" for k, v in side["dims"].items()) or "none bound",
    "importance by": lambda side: ", ".join(visible(name, 40) for name in side["criterion"]),
    "samples recorded": lambda side: n.count(side["samples"]) if side["samples"] else "none",
}
