"""One figure before and after, as text: how it is written, how its change is, and whether that is good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from wua_onnx.report import numbers as n

Json: TypeAlias = Mapping[str, Any]

Known: TypeAlias = int | float | None

_SHARES = ("utilization", "compression_potential", "redundancy", "accuracy", "sparsity", "coverage")
_PLAIN = ("redundancy", "gini", "untrained_gini", "entropy", "normalized_entropy")
_LABELS = {
    "params": "parameters", "weight_bytes": "weight size", "file_bytes": "file size", "macs": "MACs", "flops": "FLOPs",
    "int_ops": "integer operations", "activation_bytes": "activations, all",
    "peak_activation_bytes": "peak activations", "bytes_moved": "bytes moved",
    "baseline_utilization": "utilization, untrained", "sum": "sum of importance",
    "weight_change": "distance of the weights",
}  # fmt: skip
_LESS = frozenset(
    {"params", "weight_bytes", "file_bytes", "macs", "flops", "int_ops", "activation_bytes", "peak_activation_bytes",
     "bytes_moved", "dead_neurons", "non_finite"}
)  # fmt: skip
_MORE = frozenset({"accuracy"})
_SMALL = 1000  # below it, effective weights are shown with a decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """A figure before and after, as text.

    Attributes:
        name, label: of the figure, in JSON and for people.
        before, after, change: as text; empty where there is none.
        tone: "good", "poor", "none" where nothing changed, or empty where a change is neither.
        shares: both as percentages of a whole, where they are shares.
        numbers: both as `factor` has them, where they can be subtracted.
    """

    name: str
    label: str
    before: str
    after: str
    change: str
    tone: str
    shares: tuple[float, float] | None = None
    numbers: tuple[float | None, float | None] = (None, None)

    @property
    def line(self) -> str:
        """Both sides in one cell."""
        sides = [side for side in (self.before, self.after) if side]
        return " → ".join(dict.fromkeys(sides))


def change_row(delta: Json) -> ChangeRow:
    """Return a figure of a comparison's JSON as text.

    The change of a share is in percentage points (pp), that of a number without a unit in itself, that of everything
    else in percent.
    """
    name, before, after = delta["name"], delta["before"], delta["after"]
    known = [n.number(value) for value in (before, after)]
    write = _writer(name)
    return ChangeRow(
        name=name,
        label=label_of(name),
        before="" if name == "weight_change" else _text(before, write),
        after=_text(after, write),
        change=_change(delta, known[0], known[1]),
        tone=_tone(name, known[0], known[1], delta.get("ratio")),
        shares=_bar(name, known[0], known[1]),
        numbers=(n.factor(before), n.factor(after)) if n.comparable([before or 0, after or 0]) else (None, None),
    )


def _text(value: n.Number, write: Callable[[n.Number], str]) -> str:
    """Return a figure as text; an expression of more than a line is left to the JSON."""
    return "depends on free dimensions" if n.is_long(value) else write(value)


def _change(delta: Json, before: Known, after: Known) -> str:
    name = delta["name"]
    if name == "weight_change":
        return ""
    if not _is_share(name) and name not in _PLAIN:
        return _percent(delta)
    if before is None or after is None:
        return ""
    return _signed(100 * (after - before), " pp") if _is_share(name) else _signed(after - before, "", 3)


def _bar(name: str, before: Known, after: Known) -> tuple[float, float] | None:
    within = _is_share(name) or name in ("redundancy", "gini", "normalized_entropy")
    return None if not within or before is None or after is None else (100.0 * before, 100.0 * after)


def _is_share(name: str) -> bool:
    return name not in _PLAIN and any(word in name for word in _SHARES)


def label_of(name: str) -> str:
    """Return a figure's name for people."""
    base, _, part = name.rpartition("_")
    if part.replace(".", "").isdigit():
        return f"{base.replace('_', ' ')} {part}"
    return _LABELS.get(name, name.replace("_", " "))


def _writer(name: str) -> Callable[[n.Number], str]:
    if _is_share(name) or name == "weight_change":
        return n.percent
    if name.endswith("bytes") or name == "bytes_moved":
        return n.size
    if name in ("effective_weights", "effective"):
        return _decimal
    return n.decimal if name in (*_PLAIN, "sum") else n.count


def _decimal(value: n.Number) -> str:
    known = n.number(value)
    return n.decimal(value, 1) if known is not None and known < _SMALL else n.count(value)


def _percent(delta: Json) -> str:
    """Return the change in percent; nothing where a side is unknown or 0, or free dimensions decide."""
    if delta.get("ratio") is None:
        same = delta["before"] == delta["after"] and delta["before"] is not None
        return "0 %" if same else ""
    return _signed(100 * (delta["ratio"] - 1), " %")


def _signed(value: float, unit: str, digits: int = 1) -> str:
    if value == 0:
        return f"0{unit}"
    text = f"{value:+,.0f}" if abs(value) >= 1000 else f"{value:+.{digits}f}"
    return f"≈ 0{unit}" if float(text.replace(",", "")) == 0 else f"{text}{unit}"


def _tone(name: str, before: Known, after: Known, ratio: float | None) -> str:
    grown = ratio - 1 if ratio is not None else None
    if before is not None and after is not None:
        grown = after - before
    if not grown:
        return "none" if grown == 0 else ""
    if name not in _LESS | _MORE:
        return ""
    return "good" if (grown < 0) == (name in _LESS) else "poor"
