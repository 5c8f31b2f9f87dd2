"""The table of rules, in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from wua_onnx.cost.registry import Rule


def print_rules(rules: Sequence[Rule], console: Console | None = None) -> None:
    """Print every operator with its verdict and formula."""
    table = Table(box=None, pad_edge=False)
    for name in ("operator", "since", "verdict", "formula"):
        table.add_column(name, justify="right" if name == "since" else "left", overflow="fold")
    for rule in rules:
        name = f"{rule.domain}::{rule.op}" if rule.domain else rule.op
        table.add_row(name, str(rule.since), rule.verdict.value, rule.formula)
    (console or Console()).print(table)
