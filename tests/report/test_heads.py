"""Heads of attentions as a table: strongest and weakest, the pair most alike, in every output."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from wua_onnx.report.heads import SHOWN, attention_rows
from wua_onnx.report.html import render
from wua_onnx.report.markdown import to_markdown
from wua_onnx.report.terminal import print_audit

from .sample import transformer


def block(importance: list[float | None], **changes: Any) -> dict[str, Any]:
    known = [value for value in importance if value is not None]
    data = {"name": "layer.0.attention", "heads": len(importance), "head_importance": importance, "parts": {}}
    return {
        **data,
        "sum": sum(known),
        "effective": 2.7,
        "similarity": [],
        "most_similar": [],
        "dead_heads": None,
        **changes,
    }


def test_a_row_tells_the_strongest_and_the_weakest_head() -> None:
    cosines: list[float | None] = [0.1, None, 0.93, 0.2]
    [row] = attention_rows([block([3.0, 1.0, 11.0, 5.0], similarity=cosines, most_similar=[3, None, 0, 0])])
    assert (row.strongest, row.weakest) == ("head 2, 55.0 %", "head 1, 5.0 %")
    assert row.shares == "15.0 5.0 55.0 25.0"
    assert row.alike == "0 and 2: 0.93"
    assert (row.dead, row.some_dead) == ("not known", False)


@pytest.mark.parametrize(("dead", "text", "some"), [([], "0", False), ([1, 3], "2", True)])
def test_dead_heads_are_counted(dead: list[int], text: str, some: bool) -> None:
    [row] = attention_rows([block([3.0, 0.0, 1.0, 0.0], dead_heads=dead)])
    assert (row.dead, row.some_dead) == (text, some)


def test_attentions_without_known_heads_are_left_out() -> None:
    assert attention_rows([block([]), block([None, None]), block([0.0, 0.0])]) == ()


def test_no_more_than_a_screen_of_them() -> None:
    assert len(attention_rows([block([1.0, 2.0])] * (SHOWN + 7))) == SHOWN


@pytest.mark.parametrize(("width", "shares"), [(80, False), (140, True)])
def test_the_terminal_shows_what_fits(width: int, shares: bool) -> None:
    text = io.StringIO()
    audit = {**transformer(), "attention": [block([3.0, 1.0, 11.0, 5.0])]}
    print_audit(audit, Console(file=text, width=width))
    assert "Heads of attention" in text.getvalue()
    assert "head 2, 55.0 %" in text.getvalue()
    assert ("15.0 5.0 55.0 25.0" in text.getvalue()) == shares


def test_page_and_markdown_have_them_and_escape_names() -> None:
    audit = {**transformer(), "attention": [block([3.0, 1.0], name="<b>a|b")]}
    page, markdown = render(audit).replace("\u00a0", " "), to_markdown(audit)
    assert "head 0, 75.0 %" in page
    assert "&lt;b&gt;a|b" in page
    assert "| \\<b\\>a\\|b | 2 |" in markdown
    assert "Heads of attention" not in render(transformer())
