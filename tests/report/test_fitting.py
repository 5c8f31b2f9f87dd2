"""Tables in consoles of any width: whole figures and titles, and word of what is left out."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from wua_onnx.report.columns import LAYERS, OPERATORS, Cell, Column
from wua_onnx.report.fitting import fitted
from wua_onnx.report.terminal import table
from wua_onnx.report.view import page

from .sample import digits, transformer


def printed(shown: tuple[Column, ...], rows: tuple[object, ...], width: int, *, framed: bool) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=framed, color_system=None)
    console.print(table(shown, rows, console))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("framed", [False, True], ids=["piped", "terminal"])
@pytest.mark.parametrize("width", [30, 40, 47, 60, 80, 101, 200])
@pytest.mark.parametrize("make", [digits, transformer])
@pytest.mark.parametrize("which", ["layers", "operators"])
def test_titles_and_figures_stay_whole(make: object, which: str, width: int, framed: bool) -> None:
    assert callable(make)
    view = page(make())
    shown, rows = (LAYERS, view.layers) if which == "layers" else (OPERATORS, view.cost.operators)
    lines = printed(shown, rows, width, framed=framed)
    assert max(map(len, lines)) <= width
    told = " ".join(" ".join(line.split()) for line in lines)
    assert all(column.title in lines[0] or column.title in told for column in shown if column.narrow)
    widths, _ = fitted(shown, rows, width, 3 if framed else 2)
    for column in widths:
        cells = [column.cell(row).text for row in rows]
        short = [cell for cell in cells if column.right and 0 < len(cell) <= 10]
        whole = [cell for cell in short if any(re.search(rf"(?<!\S){re.escape(cell)}(?!\S)", line) for line in lines)]
        assert whole == short


def _column(title: str, width: int, *, right: bool = True, narrow: bool = True, spare: int = 0) -> Column:
    return Column(title=title, cell=lambda row: Cell(text="x" * width), right=right, narrow=narrow, spare=spare)


@pytest.mark.parametrize(
    ("room", "widths", "without"),
    [
        (100, {"name": 40, "a": 5, "text": 29, "b": 7, "c": 11}, ""),
        (79, {"name": 32, "a": 5, "text": 29, "b": 7}, ""),
        (61, {"name": 21, "a": 5, "text": 22, "b": 7}, ""),
        (42, {"name": 12, "a": 5, "text": 12, "b": 7}, ""),
        (41, {"name": 16, "a": 5, "text": 16}, "b"),
        (31, {"name": 24, "a": 5}, "text b"),
        (16, {"name": 9, "a": 5}, "text b"),
    ],
)
def test_wide_columns_go_then_texts_fold_then_columns_go(room: int, widths: dict[str, int], without: str) -> None:
    shown = (
        _column("name", 41, right=False),
        _column("a", 5),
        _column("text", 29, right=False),
        _column("b", 7, spare=1),
        _column("c", 11, narrow=False),
    )
    found, left_out = fitted(shown, [None], room, 2)
    assert {column.title: width for column, width in found.items()} == widths
    assert [column.title for column in left_out] == without.split()
