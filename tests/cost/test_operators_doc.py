"""The page on operators is what the rules say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wua_onnx.cli import FINE, main
from wua_onnx.cost.listing import listed
from wua_onnx.cost.value import Verdict

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators.md"

Capture = pytest.CaptureFixture[str]


def printed(capsys: Capture, *arguments: str) -> str:
    assert main(["ops", *arguments]) == FINE
    return capsys.readouterr().out


def test_the_page_is_generated_from_the_rules(capsys: Capture) -> None:
    text = printed(capsys, "--markdown")
    assert PAGE.read_text(encoding="utf-8") == text, "write it anew: wua-onnx ops --markdown > docs/operators.md"


def test_every_rule_has_a_line_with_its_formula(capsys: Capture) -> None:
    lines = [line.split(" | ") for line in printed(capsys, "--markdown").splitlines() if line.startswith("| ")]
    table = [cells for cells in lines if cells[1] not in ("since", "---:")]
    assert [(cells[0].removeprefix("| "), cells[1]) for cells in table] == [(r.op, str(r.since)) for r in listed()]
    assert all(len(cells) == 4 and cells[3].removesuffix("|").strip() for cells in table)


def test_formulas_are_one_sentence_and_verdicts_have_reasons() -> None:
    for rule in listed():
        assert len(rule.formula) < 200, rule.op
        assert rule.formula.isprintable(), rule.op
        assert rule.reason or rule.verdict is Verdict.COUNTED, rule.op


def test_json_has_all_rules(capsys: Capture) -> None:
    data = json.loads(printed(capsys, "--json"))
    assert [(rule["domain"], rule["op"], rule["since"]) for rule in data] == [
        (rule.domain, rule.op, rule.since) for rule in listed()
    ]
    assert {rule["verdict"] for rule in data} == {"counted", "estimate", "free"}


def test_the_table_shows_domains(capsys: Capture) -> None:
    text = printed(capsys)
    assert "com.microsoft::FusedMatMul" in text.replace("\n", "")
    assert "Conv" in text
