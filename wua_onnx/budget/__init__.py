"""Budgets: what a model may cost at most, and what breaks them. `wua_onnx.check` is the door.

`metrics` holds one small function per figure that can have a budget, `amounts` reads "2G" and "64MiB", `judge`
compares, `config` reads `[tool.wua-onnx]` of `pyproject.toml`, and `junit`, `sarif`, `github` and `table` write the
result down. Everything here rests on the JSON of an audit and opens no model.
"""

from __future__ import annotations

from wua_onnx.budget.judge import against_baseline, against_budgets
from wua_onnx.budget.outcome import Outcome
from wua_onnx.budget.registry import Budget, Metric, all_metrics, budgets_of
from wua_onnx.budget.result import CheckResult

__all__ = [
    "Budget",
    "CheckResult",
    "Metric",
    "Outcome",
    "against_baseline",
    "against_budgets",
    "all_metrics",
    "budgets_of",
]
