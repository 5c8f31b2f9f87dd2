"""The layers of a comparison as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from wua_onnx._text import visible
from wua_onnx.report.changes import ChangeRow, change_row
from wua_onnx.report.rows import NOTHING
from wua_onnx.report.rows import shape as dimensions

Json: TypeAlias = Mapping[str, Any]

_SIZES = ("weights", "macs")
_LONE = (*_SIZES, "neurons", "utilization")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerChange:
    """A layer of the comparison.

    Attributes:
        name: before, and after where it is another.
        status: "changed", "renamed", "same", "added" or "removed".
        notes: by what it was matched, and what else differs of it.
        shape: before, and after where it is another.
        figures: by name.
    """

    name: str
    status: str
    notes: str
    shape: str
    figures: Mapping[str, ChangeRow]

    @property
    def rows(self) -> tuple[ChangeRow, ...]:
        """The figures that changed."""
        return tuple(row for row in self.figures.values() if row.tone != "none")

    @property
    def moved(self) -> str:
        """How far the weights lie apart, as a share of their length before."""
        return self.figures["weight_change"].after if "weight_change" in self.figures else NOTHING

    def line(self, name: str) -> str:
        """Return a figure before and after."""
        return self.figures[name].line if name in self.figures else NOTHING

    def difference(self, name: str) -> float | None:
        """Return a figure after, less that before; None where this cannot be said."""
        before, after = self.figures[name].numbers if name in self.figures else (None, None)
        if self.status in ("added", "removed") and name in _SIZES:
            return (after or 0.0) - (before or 0.0)
        return None if before is None or after is None else after - before

    def step(self, name: str) -> str:
        """Return the difference of a count, or the change in percent where it is none."""
        row, difference = self.figures.get(name), self.difference(name)
        if row is None or difference is None or "·" in row.line:
            return self.change(name)
        return f"{difference:+,.0f}" if difference else "0"

    def change(self, name: str) -> str:
        """Return the change of a figure."""
        return (self.figures[name].change if name in self.figures else "") or NOTHING


def both_have(layer: Json) -> LayerChange:
    """Return a layer that both sides have."""
    names = [visible(layer[key]) for key in ("name", "after_name")]
    shapes = [dimensions(shape) for shape in layer["shapes"]]
    notes = [] if layer["matched"] == "name" else [f"matched by {layer['matched']}"]
    notes += [f"{word} differs" for word in layer["changes"] if word not in ("name", "shape")]
    return LayerChange(
        name=names[0] if names[0] == names[1] else f"{names[0]} → {names[1]}",
        status="changed" if layer["changed"] else "same" if names[0] == names[1] else "renamed",
        notes=", ".join(notes),
        shape=shapes[0] if shapes[0] == shapes[1] else f"{shapes[0]} → {shapes[1]}",
        figures={delta["name"]: change_row(delta) for delta in layer["figures"]},
    )


def one_has(layer: Json, status: str) -> LayerChange:
    """Return a layer that only one side has: what it adds or takes away stands in place of a change."""
    sides = {"added": (None, "after"), "removed": ("before", None)}[status]
    sign = "+" if status == "added" else "-"
    rows = {name: change_row({"name": name, **dict.fromkeys(("before", "after"), layer[name])}) for name in _LONE}
    figures = {
        name: replace(
            row,
            before=row.before if "before" in sides else "",
            after=row.after if "after" in sides else "",
            change=f"{sign}{row.after}" if name in _SIZES else "",
            tone="",
            shares=None,
            numbers=(row.numbers[0] if "before" in sides else None, row.numbers[1] if "after" in sides else None),
        )
        for name, row in rows.items()
        if layer[name] is not None
    }
    return LayerChange(
        name=visible(layer["name"]), status=status, notes="", shape=dimensions(layer["weight_shape"]), figures=figures
    )
