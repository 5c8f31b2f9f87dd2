"""The result of a check on the page: what broke first, bounds that leave doubt, and pages of figures alone."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import wua_onnx as wua
from wua_onnx.budget import Outcome
from wua_onnx.errors import BudgetError
from wua_onnx.report.budget_view import budget_view
from wua_onnx.report.html import render

from .sample import digits

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits.onnx"


def row(**changes: Any) -> dict[str, Any]:
    texts = {"label": "FLOPs", "got": "2.20 G", "limit": "≤ 2.00 G", "over": "+200 M", "most_in": "Conv 85 %"}
    return {**texts, "ok": False, "certain": True, **changes}


def test_an_audit_that_was_not_checked_has_none() -> None:
    assert budget_view(digits()) is None
    assert 'id="budget"' not in render(digits())


@pytest.mark.parametrize(
    ("rows", "chip", "tone", "words"),
    [
        ([row(ok=True), row()], "1 of 2 limits broken", "poor", ["broken", "kept"]),
        ([row(ok=True)], "budget kept", "good", ["kept"]),
        ([row(ok=True, certain=False), row(ok=True)], "budget kept", "fair", ["kept?", "kept"]),
        ([row(certain=False)], "1 of 1 limits broken", "poor", ["broken?"]),
    ],
)
def test_what_broke_comes_first(rows: list[dict[str, Any]], chip: str, tone: str, words: list[str]) -> None:
    found = budget_view({"check": {"limits": rows, "notes": []}})
    assert found is not None
    assert (found.chip, found.tone, [limit.word for limit in found.limits]) == (chip, tone, words)


def test_the_page_escapes_what_the_model_says() -> None:
    limits = [row(most_in="<img src=x onerror=hit>")]
    page = render({**digits(), "check": {"limits": limits, "notes": ["not counted: <b>"]}})
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=hit&gt;" in page
    assert "not counted: &lt;b&gt;" in page


def test_a_check_of_the_whole_makes_a_page(tmp_path: Path) -> None:
    result = wua.check(DIGITS, max_params=7, whole=True)
    page = result.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").rstrip("\n") == page.rstrip("\n")
    assert "1 of 1 limits broken" in page
    assert 'id="layers"' in page


def test_a_check_of_figures_alone_says_how_to_get_a_page() -> None:
    with pytest.raises(BudgetError, match="whole=True"):
        wua.check(DIGITS, max_params=7).to_html()


def test_what_the_page_is_made_of_is_as_the_schema_says() -> None:
    schema = json.loads((ROOT / "docs" / "audit.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator({**schema["properties"]["check"], "$defs": schema["$defs"]})
    over = Outcome(key="max_flops", label="FLOPs", unit="count", side="max", got=Fraction(7), limit=Fraction(5))
    result = wua.CheckResult(model="net", outcomes=(over,))
    told = result.shown()
    assert list(validator.iter_errors(told)) == []
    assert told["limits"][0] | {"most_in": "", "over": "+2 (+40 %)"} == told["limits"][0]
