"""The rows of the findings: what was found, and which layer it speaks of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from wua_onnx._text import MAX_SHOWN, visible
from wua_onnx.report import numbers as n

Json = Mapping[str, Any]

SEVERITIES = ("high", "medium", "low", "info")
_NAME = 80  # characters of a name in a list of several


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """One finding."""

    rule: str
    severity: str
    where: str
    anchor: str | None
    evidence: str
    action: str
    saving: str
    confidence: str


def finding_rows(findings: Sequence[Json], layers: Sequence[Json]) -> tuple[FindingRow, ...]:
    """Return the findings, the most severe first, each with the anchor of the layer it speaks of."""
    anchors = {layer["name"]: f"layer-{index}" for index, layer in enumerate(layers)}
    return tuple(_finding_row(f, anchors.get(f["where"])) for f in sorted(findings, key=_rank))


def _rank(finding: Json) -> int:
    severity = finding["severity"]
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def _finding_row(finding: Json, anchor: str | None) -> FindingRow:
    saving = finding.get("saving") or {}
    params, flops = saving.get("params"), saving.get("flops")
    parts = [(params, f"{n.amount(params)} parameters"), (flops, n.short(flops, "FLOPs"))]
    return FindingRow(
        rule=visible(finding["rule"]),
        severity=finding["severity"] if finding["severity"] in SEVERITIES else "info",
        where=_where(finding["where"]),
        anchor=anchor,
        evidence=visible(finding["evidence"], 400),
        action=visible(finding["action"], 400),
        saving=", ".join(text for value, text in parts if value is not None),
        confidence=visible(finding["confidence"]),
    )


def _where(where: str) -> str:
    """Return names as they are, of a long list as many as are told apart at a glance, and how many more there are."""
    counted = re.fullmatch(r"(.+) and ([0-9]+) more", where, re.DOTALL)
    names = (counted[1] if counted else where).split(", ")
    count = len(names) + (int(counted[2]) if counted else 0)
    if len(where) <= MAX_SHOWN or count == 1:
        return visible(where)
    shown = [name for name, end in zip(names, accumulate(map(len, names)), strict=True) if end <= MAX_SHOWN - _NAME]
    shown = shown or names[:1]
    return f"{', '.join(visible(name, _NAME) for name in shown)} and {count - len(shown):,} more"
