"""The JSON of an audit as Markdown, with everything of the model escaped: for a ticket or a pull request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from wua_onnx.report import columns
from wua_onnx.report.columns import Column
from wua_onnx.report.finding_rows import FindingRow
from wua_onnx.report.latency import LatencyView, latency_view
from wua_onnx.report.profile import OPERATORS
from wua_onnx.report.training_view import ENERGY, WORK, TrainingView
from wua_onnx.report.verdict import Tile
from wua_onnx.report.view import Page, page

_MARKUP = re.compile(r"[\\`*_{}\[\]|~<>&$]|:(?! )")
_MENTIONS = str.maketrans({"@": "&#64;", "#": "&#35;"})  # a backslash does not keep forges from linking these
_SHOWN_LAYERS, _SHOWN_MODULES = 200, 40


def to_markdown(audit: Mapping[str, Any]) -> str:
    """Return an audit as GitHub-flavoured Markdown.

    Raises:
        WuaError: `audit` is of another schema version.
    """
    view = page(audit)
    parts = [
        f"# Audit of {escape(view.name)}",
        f"**{escape(view.verdict.sentence)}**",
        escape(view.status),
        _tiles(view.tiles),
        "## Findings",
        "\n".join(map(_finding, view.findings)) or "No rule found anything to change.",
        f"## Layers (importance by {escape(view.criterion)})",
        _cut(columns.LAYERS, view.layers, _SHOWN_LAYERS, "layers"),
        *_heads(view),
        f"## Cost by operator{f', {view.cost.per}' if view.cost.per else ''}",
        table(columns.OPERATORS, view.cost.operators),
        "## Cost by module",
        _cut(columns.MODULES, view.cost.modules, _SHOWN_MODULES, "modules", view.cost.module_count),
        *_training(view.training),
        *_latency(latency_view(audit.get("profile"))),
        "## Method",
        _method(view),
    ]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Return `text` so that Markdown shows every character as it is, in running text and in tables."""
    return _MARKUP.sub(r"\\\g<0>", text).translate(_MENTIONS)


def _tiles(tiles: Sequence[Tile]) -> str:
    lines = [f"| {tile.label} | {escape(tile.value)} | {escape(tile.note)} |" for tile in tiles]
    return "\n".join(["| | | |", "| --- | ---: | --- |", *lines])


def _finding(finding: FindingRow) -> str:
    saving = f" Saves {finding.saving}." if finding.saving else ""
    words = f"({finding.rule}): {finding.evidence} → {finding.action}.{saving} ({finding.confidence})"
    return f"- **{finding.severity}** **{escape(finding.where)}** {escape(words)}"


def _heads(view: Page) -> list[str]:
    return ["## Heads of attention", table(columns.HEADS, view.heads)] if view.heads else []


def _training(view: TrainingView | None) -> list[str]:
    if view is None:
        return []
    parts = ["## Training", table(WORK, view.work), escape(view.formula), "## Energy and carbon (estimates)"]
    if not view.energy:
        return [*parts, f"{escape(view.no_energy)}."]
    constants = "\n".join(f"- {escape(fact.label)}: {escape(fact.value)}" for fact in view.constants)
    return [*parts, table(ENERGY, view.energy), constants]


def _latency(view: LatencyView | None) -> list[str]:
    if view is None:
        return []
    if view.error:
        return ["## Measured times", f"{escape(view.error)}."]
    lines = [*view.conditions, *view.coverage]
    return ["## Measured times", table(OPERATORS, view.operators), "\n".join(f"- {escape(line)}" for line in lines)]


def _cut(shown: Sequence[Column], rows: Sequence[Any], limit: int, nouns: str, count: int | None = None) -> str:
    rest = (len(rows) if count is None else count) - limit
    more = f"\n\n{rest:,} more {nouns} are in the JSON." if rest > 0 else ""
    return table(shown, rows[:limit]) + more if rows else f"No {nouns}."


def table(shown: Sequence[Column], rows: Sequence[Any]) -> str:
    """Return `rows` as a table."""
    lines = [
        " | ".join(escape(column.title) for column in shown),
        " | ".join("---:" if column.right else "---" for column in shown),
        *(" | ".join(escape(column.cell(row).text.strip()) for column in shown) for row in rows),
    ]
    return "\n".join(f"| {line} |" for line in lines)


def _method(view: Page) -> str:
    method = view.method
    facts = [*view.facts, *method.conversion, *method.settings, *method.versions]
    lines = [f"- {escape(fact.label)}: {escape(fact.value)}" for fact in facts]
    lines.append(f"- to make it again: {escape(method.command)}")
    lines += [f"- SHA-256 of the file: {method.digest}"] if method.digest else []
    lines += [f"- warning of the conversion: {escape(warning)}" for warning in method.warnings]
    lines.append(f"- {escape(method.coverage)}.")
    lines += [f"- not counted: {escape(op.label)}, {escape(op.value)}" for op in method.unsupported]
    if method.checker:
        lines.append(f"- onnx's checker objects: {escape(method.checker)}")
    conventions = [f"{index}. {escape(text)}" for index, text in enumerate(method.conventions, start=1)]
    return "\n".join(lines) + "\n\nHow operations are counted:\n\n" + "\n".join(conventions)
