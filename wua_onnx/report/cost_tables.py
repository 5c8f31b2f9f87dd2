"""The tables of a cost report: which rows, in which order; as CSV and as Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from wua_onnx._text import visible
from wua_onnx.cost.groups import magnitude
from wua_onnx.model.dim_json import from_json
from wua_onnx.report import numbers as n
from wua_onnx.report.columns import cost_columns
from wua_onnx.report.facts import cost_facts, formulas, notes
from wua_onnx.report.markdown import escape, table
from wua_onnx.report.rows import CostRow, cost_row, shape

Json: TypeAlias = Mapping[str, Any]
By: TypeAlias = Literal["operator", "module", "node"]

SORTS = ("macs", "flops", "bytes", "params", "name")
_NAME = {"operator": "op", "module": "path", "node": "name"}
_COUNT = {"operator": "count", "module": "nodes"}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would evaluate


def selected(cost: Json, by: By = "operator", depth: int | None = None, sort: str | None = None) -> list[Json]:
    """Return rows of a cost report.

    Args:
        cost: what `CostReport.to_dict` gives.
        by: what a row is.
        depth: deepest level of modules; all by default.
        sort: one of `SORTS`, the largest first; modules are sorted among those of the same parent. By default
            operators stand by their work, modules as a tree, nodes in file order.
    """
    rows = list(cost[f"by_{by}"])
    if by == "module":
        rows = [row for row in rows if depth is None or row["depth"] <= depth]
        return _sorted_tree(rows, sort) if sort is not None else rows
    return sorted(rows, key=lambda row: _key(row, by, sort)) if sort is not None else rows


def _key(row: Json, by: By, sort: str) -> tuple[int, str]:
    return (0, str(row[_NAME[by]])) if sort == "name" else (-_size(row.get(sort, 0)), "")


def _size(value: n.Number) -> int:
    """Return a size to sort by; symbolic ones with every symbol at 16."""
    try:
        dim = from_json(value)
    except ValueError:
        return 0
    return magnitude(dim) if dim is not None else 0


def _sorted_tree(rows: Sequence[Json], sort: str) -> list[Json]:
    """Return rows of modules with siblings in order, each followed by what lies inside it."""
    above: list[tuple[Any, ...]] = []
    keyed = []
    for index, row in enumerate(rows):
        del above[max(row["depth"] - 1, 0) :]
        above.append((row["depth"] == 0, _key(row, "module", sort), index))
        keyed.append((tuple(above), row))
    return [row for _, row in sorted(keyed, key=lambda pair: pair[0])]


def table_rows(rows: Sequence[Json], by: By, macs: n.Number) -> list[CostRow]:
    """Return `rows` as text; `macs` are those of the whole model."""
    if by == "node":
        return [cost_row(row, row["name"], macs, f"{row['op']} → {_shapes(row)}") for row in rows]
    return [cost_row(row, row[_NAME[by]], macs) for row in rows]


def _shapes(row: Json) -> str:
    return ", ".join(map(shape, row["outputs"]))


def cost_csv(cost: Json, by: By = "operator", depth: int | None = None, sort: str | None = None) -> str:
    """Return rows as CSV, every number with all its digits; text that a spreadsheet would evaluate is quoted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    figures = ("params", "macs", "flops", "int_ops", "bytes", "intensity")
    head = {"operator": ("operator", "nodes"), "module": ("module", "depth", "nodes")}.get(by)
    writer.writerow([*(head or ("node", "operator", "module", "outputs")), *figures, "verdict", "reason"])
    for row in selected(cost, by, depth, sort):
        first = [row[_NAME[by]]]
        if by == "node":
            first += [row["op"], row["module"], _shapes(row)]
        else:
            first += ([row["depth"]] if by == "module" else []) + [row[_COUNT[by]]]
        writer.writerow(map(cell, [*first, *(row.get(key) for key in figures), row["verdict"], row["reason"] or ""]))
    return out.getvalue()


def cell(value: Any) -> Any:
    """Return a value of JSON as a cell of CSV; text that a spreadsheet would evaluate is quoted."""
    if value is None or isinstance(value, int | float):
        return "" if value is None else value
    if isinstance(value, Mapping):
        value = value.get("text", "")
    text = visible(value, 2000)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def cost_markdown(cost: Json, by: By = "operator", depth: int | None = None, sort: str | None = None) -> str:
    """Return a cost report as GitHub-flavoured Markdown: totals, formulas, one table."""
    facts = [f"| {escape(fact.label)} | {escape(fact.value)} |" for fact in cost_facts(cost)]
    parts = ["\n".join(["| | |", "| --- | ---: |", *facts])]
    written = [f"- {escape(fact.label)} = {escape(fact.value)}" for fact in formulas(cost)]
    if written:
        parts.append("\n".join(written))
    parts += [f"{escape(note)}." for note in notes(cost)]
    rows = table_rows(selected(cost, by, depth, sort), by, cost["macs"])
    parts.append(table(cost_columns(by, symbolic=bool(cost["symbols"])), rows))
    return "\n\n".join(parts) + "\n"
