"""The figures of the cost: where it is (by module or layer), what it is (by operator), in any of five measures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from markupsafe import Markup

from wua_onnx._text import visible
from wua_onnx.report import numbers as n
from wua_onnx.report.charts_svg import Bar, bars_svg, for_both_widths
from wua_onnx.report.charts_tree import Branch, lengths, not_drawn, of_one_sample, tree_of
from wua_onnx.report.charts_treemap import treemap

Json = Mapping[str, Any]
Row = tuple[str, ...]

_OPERATORS = 10  # bars; the rest is one more
_ROWS = 60  # of the tables behind
_MOST = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The two figures in one measure, or why there are none, and the tables behind them."""

    key: str
    label: str
    reason: str
    modules: Markup | None = None
    module_rows: tuple[Row, ...] = ()
    more_modules: int = 0
    operators: Markup | None = None
    operator_rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CostFigures:
    """What is drawn of the cost, and how few layers hold most of it, in a sentence."""

    sentence: str
    note: str
    by: str
    panels: tuple[Panel, ...]

    @property
    def first(self) -> str:
        """The measure that is shown first: the first one that could be drawn."""
        return next((panel.key for panel in self.panels if not panel.reason), self.panels[0].key)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    key: str
    label: str
    text: Callable[[float], str]
    modules: Sequence[n.Number]
    operators: Mapping[str, n.Number]

    @property
    def values(self) -> list[n.Number]:
        """All of them."""
        return [*self.modules, *self.operators.values()]


def cost_figures(audit: Json) -> CostFigures:
    """Return the figures of `cost`, and of `profile` where there are times."""
    cost = audit["cost"]
    by = "module" if cost["by_module"] else "layer"
    named = cost["by_module"] or _nodes(audit)
    roots = tree_of(named)
    return CostFigures(
        sentence=layers_holding_most(audit["layers"], cost["macs"]),
        note="Figures of one sample: the batch counts as 1." if of_one_sample(cost) else "",
        by=by,
        panels=tuple(_panel(measure, roots, by, cost) for measure in _measures(audit, named)),
    )


def _nodes(audit: Json) -> list[Json]:
    """Return the nodes like rows of `by_module`, under the names of their layers: for models without modules."""
    layers = {node: layer["name"] for layer in audit["layers"] for node in layer["nodes"]}
    return [
        {**node, "path": layers.get(node["name"]) or f"{node['op']} {node['name']}", "depth": 1, "nodes": 1}
        for node in audit["cost"]["by_node"]
    ]


def layers_holding_most(layers: Sequence[Json], macs: n.Number) -> str:
    """Return `3 of 8 layers hold 80 % of the MACs`; empty where the shares are not known."""
    found = [n.ratio(layer["macs"], macs) for layer in layers]
    shares = sorted((share for share in found if share is not None), reverse=True)
    if not shares or len(shares) < len(layers):
        return ""
    held = list(accumulate(shares))
    enough = next((count for count, sum_ in enumerate(held, 1) if sum_ >= _MOST), None)
    of = n.plural(len(layers), "layer")
    if enough is None:
        return f"All {of} together hold {n.percent(held[-1])} of the MACs."
    return f"{enough:,} of {of} {'holds' if enough == 1 else 'hold'} 80 % of the MACs."


def _measures(audit: Json, rows: Sequence[Json]) -> Iterator[_Measure]:
    operators = audit["cost"]["by_operator"]
    for key, label, text in _COUNTED:
        yield _Measure(
            key=key,
            label=label,
            text=text,
            modules=[row.get(key) for row in rows],
            operators={row["op"]: row.get(key) for row in operators},
        )
    profile = audit.get("profile")
    if profile and profile.get("timed"):
        yield _Measure(
            key="seconds",
            label="Time",
            text=lambda size: f"{1000 * size:.3g} ms",
            modules=_seconds(profile, audit["cost"], rows),
            operators={row["op"]: row["seconds"] for row in profile["by_operator"]},
        )


def _short(unit: str) -> Callable[[float], str]:
    return lambda size: n.short(round(size), unit)


_COUNTED: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("macs", "MACs", _short("MACs")),
    ("flops", "FLOPs", _short("FLOPs")),
    ("bytes", "Bytes moved", lambda size: n.size(round(size))),
    ("params", "Parameters", _short("")),
)


def _seconds(profile: Json, cost: Json, rows: Sequence[Json]) -> list[n.Number]:
    """Return the measured time of each row of modules or nodes: nodes in one kernel count for those of the first."""
    modules = {node["name"]: node.get("module") or "" for node in cost["by_node"]}
    own: defaultdict[str, float] = defaultdict(float)
    for part in profile["timed"]:
        first = next(iter(part["nodes"]), "")
        own[modules.get(first, "") if cost["by_module"] else first] += part["seconds"]
    sums = [0.0] * len(rows)
    around: list[int] = []
    for index, row in enumerate(rows):
        del around[max(row["depth"] - 1, 0) :]
        around.append(index)
        for outer in around:
            sums[outer] += own.get(row["path"] if cost["by_module"] else row["name"], 0.0)
    return list(sums)


def _panel(measure: _Measure, roots: Sequence[Branch], by: str, cost: Json) -> Panel:
    what = {"bytes": "the bytes moved", "params": "parameters", "seconds": "times"}.get(measure.key, measure.label)
    sizes = lengths(measure.modules, cost)
    operators = lengths(list(measure.operators.values()), cost)
    if sizes is None or operators is None:
        return Panel(key=measure.key, label=measure.label, reason=not_drawn(what, cost, measure.values))
    if not any(sizes[root.index] > 0 for root in roots):
        return Panel(key=measure.key, label=measure.label, reason=f"Nothing to draw: {what} are 0 throughout")
    branches = sorted((b for root in roots for b in root.all() if sizes[b.index] > 0), key=lambda b: -sizes[b.index])
    whole = sum(sizes[root.index] for root in roots)
    bars = _pareto(dict(zip(measure.operators, operators, strict=True)))
    return Panel(
        key=measure.key,
        label=measure.label,
        reason="",
        modules=for_both_widths(
            lambda width: treemap(roots, sizes, f"{measure.label} by {by}, as areas", measure.text, width)
        ),
        module_rows=tuple(
            (visible(b.row["path"]), measure.text(sizes[b.index]), n.percent(sizes[b.index] / whole))
            for b in branches[:_ROWS]
        ),
        more_modules=max(len(branches) - _ROWS, 0),
        operators=for_both_widths(
            lambda width: bars_svg([bar for bar, _ in bars], f"{measure.label} by operator", width)
        ),
        operator_rows=tuple(
            (bar.label, measure.text(size), bar.value, n.percent(bar.cumulative or 0.0)) for bar, size in bars
        ),
    )


def _pareto(sizes: Mapping[str, float]) -> list[tuple[Bar, float]]:
    """Return the operators with the most, what the others have together, and what adds up from the top."""
    whole = sum(sizes.values())
    ranked = sorted(((size, op) for op, size in sizes.items() if size > 0), key=lambda pair: -pair[0])
    shown = [(visible(op), size) for size, op in ranked[:_OPERATORS]]
    others = ranked[_OPERATORS:]
    if others:
        shown.append((n.plural(len(others), "other"), sum(size for size, _ in others)))
    sums = accumulate(size for _, size in shown)
    return [
        (Bar(label=op, share=size / whole, value=n.percent(size / whole), cumulative=min(held / whole, 1.0)), size)
        for (op, size), held in zip(shown, sums, strict=True)
    ]
