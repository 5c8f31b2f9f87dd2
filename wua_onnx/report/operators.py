"""The table of rules: in the terminal, as JSON, and as the page of the docs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wua_onnx.cost.registry import Rule
from wua_onnx.report.markdown import escape

_INTRODUCTION = """\
# How each operator is counted

Generated from the rules by `wua-onnx ops --markdown`; a test keeps it so.

The figures are multiply-accumulates of contractions (`macs`), floating-point operations outside them by kind (`mul`,
`add`, `div`, `compare`, `special`) and integer operations (`int_ops`). A verdict is *counted* (exact), *estimate*
(the stated formula) or *free* (for the stated reason); an operator that is not listed and has no function body is
*unknown*, and makes the total a lower bound. *Since* is the first opset version that a formula holds for.
An observed run counts what ran: the branches taken, the trips made, every execution on the shapes that it had.

Where a line does not say otherwise, N stands for the elements that the operator works on, G for the groups that it
reduces them to (one element of the output each), C for channels.
"""


def name_of(rule: Rule) -> str:
    """Return the operator with its domain, where that is not ai.onnx."""
    return f"{rule.domain}::{rule.op}" if rule.domain else rule.op


def print_rules(rules: Sequence[Rule], console: Console | None = None) -> None:
    """Print every operator with its verdict and formula."""
    table = Table(box=None, pad_edge=False)
    for name in ("operator", "since", "verdict", "formula"):
        table.add_column(name, justify="right" if name == "since" else "left", overflow="fold")
    for rule in rules:
        table.add_row(*map(Text, (name_of(rule), str(rule.since), rule.verdict.value, _formula(rule))))
    (console or Console()).print(table)


def rules_json(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Return the rules in JSON's own types."""
    keys = ("domain", "op", "since", "verdict", "formula", "reason")
    return [{key: getattr(rule, key) for key in keys} for rule in rules]


def rules_markdown(rules: Sequence[Rule]) -> str:
    """Return the page of the docs on all rules: a table for every domain."""
    return "\n".join([_INTRODUCTION, *_sections(rules)])


def _sections(rules: Sequence[Rule]) -> Iterator[str]:
    for domain, members in groupby(rules, key=lambda rule: rule.domain):
        yield f"## {domain or 'ai.onnx'}\n"
        yield "| operator | since | verdict | formula |\n| --- | ---: | --- | --- |"
        for rule in members:
            yield f"| {rule.op} | {rule.since} | {rule.verdict.value} | {escape(_formula(rule))} |"
        yield ""


def _formula(rule: Rule) -> str:
    """Return what is counted, and what an estimate assumes."""
    text = rule.formula.rstrip(".")
    return f"{text} ({rule.reason})" if rule.count is not None and rule.reason else text
