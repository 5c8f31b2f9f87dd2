"""What the layer table copies and downloads, by the formats' own readers, where the names of layers are hostile."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

from wua_onnx._text import visible
from wua_onnx.report.html import render

from .pages import copied, many, open_page

NAMES = (
    "=cmd|' /C calc'!A0",
    "+1",
    "-2",
    "@SUM(A1)",
    "<script>document.title='hit'</script>",
    "\"&onload=document.title='hit' x=\"",
    "\u202etxt\u2066\0 b\ttab\nline",
    "a|b, `c` [d](javascript:e) \\input{f} $g$ 50% h_i ~j^ #1 &amp; x://y",
    "n" * 10_000,
)
LATEX = {
    r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"$\times$": "×", r"$\to$": "→",
}  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    audit = many(len(NAMES))
    audit["model"]["name"] = "../=x|<b>" + "m" * 300
    for layer, name in zip(audit["layers"], NAMES, strict=True):
        layer["name"] = name
    file = tmp_path_factory.mktemp("copies") / "hostile.html"
    file.write_text(render(audit), encoding="utf-8")
    return file


def from_json(text: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(text)
    return rows


def from_csv(text: str) -> list[dict[str, Any]]:
    rows = list(csv.DictReader(io.StringIO(text)))
    cells = [cell for row in rows for cell in row.values()]
    assert [cell for cell in cells if re.match(r"\s*[=+@]|\s*-(?!\d)", cell)] == [], "no spreadsheet evaluates it"
    assert [row["name"] for row in rows if row["name"].startswith("'")] == [f"'{name}" for name in NAMES[:4]]
    return [{**row, "name": row["name"].removeprefix("'")} for row in rows]


def from_markdown(text: str) -> list[dict[str, Any]]:
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines()]
    assert not re.search(r"(?<!\\)[<`$&[](?!#\d+;)|@|(?<!\\)://", text), "nothing formats, links or mentions"
    return [dict(zip(map(_plain, lines[0]), map(_plain, line), strict=True)) for line in lines[2:]]


def _plain(cell: str) -> str:
    """Undo what Markdown's escapes stand for: a backslash before a sign, or its number."""
    return re.sub(r"\\(.)|&#(\d+);", lambda found: found[1] or chr(int(found[2])), cell.strip())


def from_latex(text: str) -> list[dict[str, Any]]:
    lines = [line.removesuffix(r" \\") for line in text.splitlines()]
    rows = [list(map(_typeset, re.split(r"(?<!\\) & ", line))) for line in [lines[1], *lines[3:-1]]]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def _typeset(cell: str) -> str:
    """Return what TeX makes of a cell; a sign that it would act upon fails."""
    signs = "|".join(map(re.escape, LATEX))
    assert not re.search(r"[&%$#_{}~^\\]", re.sub(rf"{signs}|\\[&%$#_{{}}]", "", cell))
    return re.sub(rf"({signs})|\\(.)", lambda found: LATEX[found[1]] if found[1] else found[2], cell)


READERS: dict[str, Callable[[str], list[dict[str, Any]]]] = {
    "JSON": from_json, "CSV": from_csv, "Markdown": from_markdown, "LaTeX": from_latex,
}  # fmt: skip


@pytest.mark.parametrize("form", READERS)
def test_hostile_names_come_back_as_text(browser: webdriver.Chrome, page: Path, form: str) -> None:
    open_page(browser, page)
    text = copied(browser, form)
    assert "hit" not in browser.title.split()
    assert all(sign.isprintable() or sign == "\n" for sign in text), "no control sign, none that turns text around"
    rows = READERS[form](text)
    assert [row["name"] for row in rows] == [visible(name) for name in NAMES]
    assert max(len(row["name"]) for row in rows) < 1_000
    weights = [layer["weights"] for layer in many(len(NAMES))["layers"]]
    assert [int(row["weights"]) for row in rows] == weights
    assert {len(row) for row in rows} == {24}


def test_a_file_is_named_after_the_model_and_nothing_else(browser: webdriver.Chrome, page: Path) -> None:
    open_page(browser, page)
    browser.execute_script(
        "HTMLAnchorElement.prototype.click = function () { window.named = this.download };"
        "document.querySelector('[name=download]').click()"
    )
    name = browser.execute_script("return window.named")
    assert re.fullmatch(r"[\w-]{1,60}-layers\.csv", name)
