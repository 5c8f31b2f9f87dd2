"""The figures of cost, structure and memory that the page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wua_onnx.report.charts_cost import CostFigures, cost_figures
from wua_onnx.report.charts_memory import MemoryFigures, memory_figures
from wua_onnx.report.charts_structure import Structure, structure_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Charts:
    """One part for each of the three sections."""

    cost: CostFigures
    structure: Structure | None
    memory: MemoryFigures


def charts_of(audit: Mapping[str, Any]) -> Charts:
    """Return the figures of an audit's JSON."""
    return Charts(cost=cost_figures(audit), structure=structure_of(audit["cost"]), memory=memory_figures(audit["cost"]))
