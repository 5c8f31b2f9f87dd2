"""The result of a check as table, JSON, JUnit XML, SARIF and annotations of GitHub; names that mean harm included."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from tests.npm import npm_file
from wua_onnx.budget import CheckResult, Outcome

HOSTILE = "<script>&\"'%0A::error::\x1b[31m\n\r‮,:x\x00"
FILE = "models/a b:c,d%e.onnx"


def outcome(**changes: Any) -> Outcome:
    fields: dict[str, Any] = {
        "key": "max_flops", "label": "FLOPs", "unit": "count", "side": "max",
        "got": Fraction(2_200_000_000), "limit": Fraction(2 * 10**9), "where": "Conv 85 %",
    }  # fmt: skip
    return Outcome(**(fields | changes))


RESULT = CheckResult(
    model="net",
    file=FILE,
    version="1.2.3",
    outcomes=(
        outcome(key="max_params", label="parameters", got=Fraction(7), limit=Fraction(7), where=""),
        outcome(),
        outcome(key="max_macs", label="MACs", got=Fraction(5), limit=Fraction(10**6), bound="lower"),
        outcome(
            key="min_accuracy", label="accuracy", unit="share", side="min", got=Fraction(19, 20), limit=Fraction(1)
        ),
        outcome(
            key="max_peak_memory",
            label="peak activation memory",
            unit="bytes",
            got=Fraction(2**26),
            limit=Fraction(2**25),
        ),
    ),
    notes=("not counted: com.acme::Odd, 1 node",),
)


def test_the_table(golden: Callable[[str, str], None]) -> None:
    golden("check.txt", f"{RESULT}\n")


def test_annotations(golden: Callable[[str, str], None]) -> None:
    golden("check.github.txt", f"{RESULT.to_github()}\n")


def test_sarif_text(golden: Callable[[str, str], None]) -> None:
    golden("check.sarif", RESULT.to_sarif() + "\n")


def test_junit_text(golden: Callable[[str, str], None]) -> None:
    golden("check.xml", RESULT.to_junit() + "\n")


def test_markdown(golden: Callable[[str, str], None]) -> None:
    golden("check.md", RESULT.to_markdown())


def test_markdown_of_limits_that_are_kept_is_a_table_alone(golden: Callable[[str, str], None]) -> None:
    kept = CheckResult(model="net", outcomes=tuple(outcome for outcome in RESULT.outcomes if outcome.ok))
    golden("check.kept.md", kept.to_markdown())


def test_junit_counts_what_broke() -> None:
    root = ElementTree.fromstring(RESULT.to_junit())
    [suite] = root
    assert (suite.get("tests"), suite.get("failures")) == ("5", "3")
    failed = {case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None}
    assert failed == {"max_flops", "min_accuracy", "max_peak_memory"}


def test_the_difference_is_seen_where_three_digits_hide_it() -> None:
    near = outcome(got=Fraction(2_000_000_001))
    assert (near.got_text, near.limit_text, near.ok) == ("2,000,000,001", "≤ 2,000,000,000", False)


@pytest.mark.parametrize(
    ("bound", "side", "got", "certain"),
    [
        ("exact", "max", 1, True), ("exact", "max", 3, True), ("measured", "max", 1, True),
        ("lower", "max", 1, False), ("lower", "max", 3, True), ("upper", "max", 1, True), ("upper", "max", 3, False),
        ("lower", "min", 1, False), ("lower", "min", 3, True), ("upper", "min", 1, True), ("upper", "min", 3, False),
        ("mixed", "max", 1, False), ("mixed", "max", 3, False),
    ],
)  # fmt: skip
def test_a_bound_is_certain_where_the_truth_can_only_agree(bound: str, side: str, got: int, certain: bool) -> None:
    assert outcome(bound=bound, side=side, got=Fraction(got), limit=Fraction(2)).certain is certain


def hostile() -> CheckResult:
    broken = outcome(label="FLOPs", where=f"{HOSTILE} 85 %")
    return CheckResult(model=HOSTILE, file=HOSTILE, outcomes=(broken,), notes=(HOSTILE,))


def test_hostile_names_leave_xml_well_formed() -> None:
    root = ElementTree.fromstring(hostile().to_junit())
    assert [element.tag for element in root.iter()] == [
        "testsuites", "testsuite", "testcase", "failure", "system-out"
    ]  # fmt: skip


def test_hostile_names_make_no_annotation_of_their_own() -> None:
    [line] = hostile().to_github().splitlines()
    match = re.fullmatch(r"::error file=([^,:]*),title=([^,:]*)::(.*)", line)
    assert match is not None
    assert not set(line) & set("\x00\x1b\r\n‮")


def test_hostile_names_print_on_lines_of_their_own() -> None:
    text = str(hostile())
    assert "\x1b" not in text
    assert "‮" not in text
    assert len(text.splitlines()) < 40


def test_json_is_what_to_dict_says(tmp_path: Path) -> None:
    text = RESULT.to_json(tmp_path / "check.json")
    assert json.loads(text) == RESULT.to_dict() == json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))
    assert [row["ok"] for row in RESULT.to_dict()["outcomes"]] == [True, False, True, False, False]


def test_sarif_has_a_rule_for_every_limit_and_a_result_for_what_is_not_well() -> None:
    log = json.loads(RESULT.to_sarif())
    [run] = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == [outcome.key for outcome in RESULT.outcomes]
    assert [(r["ruleId"], r["level"]) for r in run["results"]] == [
        ("max_flops", "error"), ("max_macs", "warning"), ("min_accuracy", "error"), ("max_peak_memory", "error")
    ]  # fmt: skip
    assert all(rules[found["ruleIndex"]] == found["ruleId"] for found in run["results"])
    [place] = run["results"][0]["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "models/a%20b%3Ac%2Cd%25e.onnx"


def test_sarif_fingerprints_stay_when_the_figure_changes() -> None:
    def prints(got: int) -> Any:
        result = CheckResult(model="net", file=FILE, outcomes=(outcome(got=Fraction(got)),))
        return json.loads(result.to_sarif())["runs"][0]["results"][0]["partialFingerprints"]

    assert prints(3 * 10**9) == prints(5 * 10**9)


def test_hostile_names_stay_in_their_cell_of_markdown() -> None:
    text = hostile().to_markdown()
    assert all(line.isprintable() for line in text.splitlines())
    assert not re.search(r"(?<!\\)<(?!/?(details|summary)>)", text)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}


PACKAGE = "@microsoft/jest-sarif@1.0.0-beta.0"  # which carries the schema of SARIF 2.1.0
MEMBER = "lib/schemas/sarif-2.1.0-rtm.5.json"
DIGEST = "2d99159ae54a3eea97f81781cff48780548657c35949f4b7f25e99a2ba4de4f8"


@pytest.fixture(scope="module")
def sarif_schema(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The published schema, as npm has it, kept in pytest's cache where there is one."""
    cache = getattr(pytestconfig, "cache", None)
    folder = tmp_path_factory.mktemp("sarif") if cache is None else cache.mkdir("sarif")
    return json.loads(npm_file(PACKAGE, MEMBER, DIGEST, folder))


@pytest.mark.parametrize(
    "make", [lambda: RESULT, hostile, lambda: CheckResult(model="net")], ids=["result", "hostile", "none"]
)
def test_sarif_is_what_its_schema_says(make: Callable[[], CheckResult], sarif_schema: Any) -> None:
    validator = jsonschema.Draft4Validator(sarif_schema, format_checker=jsonschema.FormatChecker())
    log = json.loads(make().to_sarif())
    assert [error.message for error in validator.iter_errors(log)] == []
    log["runs"][0]["tool"] = {}
    assert [error.message for error in validator.iter_errors(log)] == ["'driver' is a required property"]
