"""What matplotlib draws of a cost: bars, the largest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from wua_onnx._text import visible
from wua_onnx.errors import WuaError
from wua_onnx.report import numbers as n
from wua_onnx.report.plots_axes import BLUE, GRAY, plain

Json: TypeAlias = Mapping[str, Any]

UNITS = {
    "macs": "MACs",
    "flops": "FLOPs",
    "int_ops": "integer operations",
    "bytes": "bytes moved",
    "params": "parameters",
}
_KEYS = {"operator": ("by_operator", "op"), "module": ("by_module", "path"), "node": ("by_node", "name")}


_BARS = 15  # and one for the rest


def sorted_cost(audit: Json, figure: str, by: str) -> tuple[list[str], list[float]]:
    """Return names and values, the largest first, the rest in one."""
    if figure not in UNITS or by not in (*_KEYS, "layer"):
        raise WuaError(
            f"plot: expected a figure of {', '.join(UNITS)} by {', '.join(_KEYS)} or layer, "
            f"got {visible(figure)!r} by {visible(by)!r}"
        )
    rows = [(name, value) for name, value in _cost_rows(audit, figure, by) if value != 0]
    factors = [n.factor(value) for _, value in rows]
    if not rows or not n.comparable([value for _, value in rows]) or None in factors:
        raise WuaError(
            f"plot: expected {UNITS[figure]} by {by} as numbers, got none, or expressions of free dimensions that do "
            "not compare: give their sizes, dims={…}"
        )
    known = sorted(((float(f or 0.0), name) for f, (name, _) in zip(factors, rows, strict=True)), key=lambda p: -p[0])
    names, values = [plain(name) for _, name in known[:_BARS]], [value for value, _ in known[:_BARS]]
    rest = known[_BARS:]
    return (names, values) if not rest else ([*names, f"{len(rest):,} more"], [*values, sum(v for v, _ in rest)])


def _cost_rows(audit: Json, figure: str, by: str) -> Iterator[tuple[str, n.Number]]:
    if by == "layer":
        key = {"params": "weights", "macs": "macs"}.get(figure)
        if key is None:
            raise WuaError(f"plot: expected macs or params by layer, got {visible(figure)!r}")
        yield from ((layer["name"], layer[key]) for layer in audit["layers"])
        return
    part, name = _KEYS[by]
    rows = audit["cost"][part]
    if by == "module":  # those without modules inside, so that nothing counts twice
        paths = [row["path"] for row in rows]
        inner = {path.rpartition(".")[0] for path in paths} | {""}
        rows = [row for row in rows if row["path"] not in inner]
    yield from ((row[name], row.get(figure)) for row in rows)


def bars(ax: Any, names: Sequence[str], values: Sequence[float]) -> Any:
    """Draw a bar a name, as long as its share of all, the last one gray where it is of all others; return `ax`."""
    total, places = sum(values) or 1.0, range(len(names))
    shares = [100 * value / total for value in values]
    ax.barh(places, shares, color=[GRAY if index == _BARS else BLUE for index in places])
    for place, share, value in zip(places, shares, values, strict=True):
        text = f" {n.short(int(value))} ({n.percent(share / 100)})"
        ax.annotate(text, (share, place), va="center", fontsize="small")
    ax.set_yticks(places, names, fontsize="small")
    ax.invert_yaxis()
    ax.set_xlim(0, 1.3 * max(shares))
    ax.set_xticks([tick for tick in ax.get_xticks() if 0 <= tick <= 100])
    ax.set_xlabel("% of all")
    ax.spines[["top", "right"]].set_visible(False)
    return ax
