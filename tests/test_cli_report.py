"""`wua-onnx report`: what the JSON of an audit gives without the model, and what bad JSON gets."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

import wua_onnx as wua
from tests.comparison.made import made
from tests.small_models import data, mlp
from wua_onnx._audit_json import UPGRADES
from wua_onnx.cli import BAD_INPUT, FAILED, FINE, USAGE, main
from wua_onnx.report.layer_csv import layer_csv

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def audit() -> wua.Audit:
    return wua.analyze(mlp(), data(), criterion=["activation", "magnitude"])


@pytest.fixture(autouse=True)
def _here(audit: wua.Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    audit.to_json("audit.json")


def run(*arguments: str) -> int:
    try:
        return main(["report", *arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


def change(**parts: Any) -> None:
    Path("audit.json").write_text(json.dumps(json.loads(Path("audit.json").read_text()) | parts), encoding="utf-8")


def test_files_are_those_that_the_audit_itself_writes(audit: wua.Audit, capsys: Capture) -> None:
    assert run("audit.json", "--html", "a.html", "--markdown", "a.md", "--json", "b.json", "--csv", "a.csv") == FINE
    out, err = capsys.readouterr()
    assert (out, err.count("wrote ")) == ("", 4)
    assert Path("a.html").read_text(encoding="utf-8").rstrip() == audit.to_html().rstrip()
    assert Path("a.md").read_text(encoding="utf-8").rstrip() == audit.to_markdown().rstrip()
    assert json.loads(Path("b.json").read_text(encoding="utf-8")) == audit.to_dict()


def test_without_outputs_it_shows_the_audit(audit: wua.Audit, capsys: Capture) -> None:
    assert run("audit.json") == FINE
    shown = capsys.readouterr().out
    audit.show()
    assert shown == capsys.readouterr().out


def test_layers_as_csv(audit: wua.Audit, capsys: Capture) -> None:
    assert run("audit.json", "--csv") == FINE
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["name"], row["criterion"]) for row in rows] == [
        (name, criterion) for name in audit.layers for criterion in ("activation", "magnitude")
    ]
    assert float(rows[0]["utilization"]) == next(iter(audit.layers.values())).metrics.utilization
    assert rows[0]["weight_shape"] == "5×7"


@pytest.mark.parametrize("by", ["operator", "module", "node"])
def test_costs_as_csv(by: str, capsys: Capture) -> None:
    assert run("audit.json", "--csv", "--by", by) == FINE
    assert capsys.readouterr().out.startswith(by)


def test_a_name_that_is_a_formula_is_quoted(audit: wua.Audit) -> None:
    found = audit.to_dict()
    found["layers"][0]["name"] = "=cmd|' /C calc'!A0"
    assert "'=cmd|" in layer_csv(found)


@pytest.mark.parametrize("option", ["--html", "--markdown", "--csv", "--json"])
@pytest.mark.parametrize("target", ["folder", "absent/file"])
def test_a_path_that_cannot_be_written_leaves_nothing_half_written(option: str, target: str, capsys: Capture) -> None:
    Path("folder").mkdir()
    others = [part for o in ("--html", "--markdown", "--csv", "--json") if o != option for part in (o, f"{o[2:]}.out")]
    assert run("audit.json", *others, option, target) == FAILED
    assert sorted(path.name for path in Path().rglob("*")) == ["audit.json", "folder"]
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)


def test_two_outputs_in_one_file(capsys: Capture) -> None:
    assert run("audit.json", "--html", "out", "--markdown", "./out") == FAILED
    assert "expected one output a file, got 2" in capsys.readouterr().err
    assert not Path("out").exists()


def test_two_outputs_on_stdout(capsys: Capture) -> None:
    assert run("audit.json", "--csv", "--markdown") == USAGE
    assert "one output on stdout" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the JSON of an audit"), ("{", "expected the JSON of an audit"), ("[1]", "something else"),
        ('{"macs": 3, "by_node": []}', "a cost report"),
        ('{"schema_version": 1, "figures": [], "before": {}, "after": {}}', "a comparison"),
        ("[" * 100_000, "expected the JSON of an audit"),
        ('{"schema_version": NaN}', "NaN"), ('{"schema_version": 1}', "without tool, model"),
        ('{"schema_version": 2}', "version 1, got 2: a newer wua-onnx wrote it"),
        ('{"schema_version": 0}', "version 1, got 0"), ('{"schema_version": "1"}', "version 1, got '1'"),
        ('{"schema_version": true}', "version 1, got True"), ('{"schema_version": [1]}', "version 1, got [1]"),
    ],
    ids=lambda value: value[:24],
)  # fmt: skip
def test_what_is_no_audit(text: str, message: str, capsys: Capture) -> None:
    Path("audit.json").write_text(text, encoding="utf-8")
    assert run("audit.json", "--html", "a.html") == BAD_INPUT
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("wua-onnx: audit.json: ")
    assert not Path("a.html").exists()


def test_a_comparison_is_rendered_like_an_audit(capsys: Capture) -> None:
    comparison = made()
    comparison.to_json("diff.json")
    assert run("diff.json", "--html", "d.html", "--markdown", "d.md", "--json", "e.json", "--csv", "d.csv") == FINE
    assert capsys.readouterr().err.count("wrote ") == 4
    assert Path("d.html").read_text(encoding="utf-8").rstrip() == comparison.to_html().rstrip()
    assert Path("d.md").read_text(encoding="utf-8").rstrip() == comparison.to_markdown().rstrip()
    assert Path("e.json").read_bytes() == Path("diff.json").read_bytes()
    rows = list(csv.DictReader(io.StringIO(Path("d.csv").read_text(encoding="utf-8"))))
    assert [row["status"] for row in rows] == ["same", "changed", "changed", "added", "removed"]
    assert (rows[1]["weights_before"], rows[1]["weights_after"], rows[3]["name"]) == ("16384", "8192", "")
    assert run("diff.json") == FINE
    shown = capsys.readouterr().out
    comparison.show()
    assert shown == capsys.readouterr().out


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"schema_version": 2}, "a comparison of schema version 1, got 2"),
        ({"layers": [3]}, "docs/comparison.schema.json"),
    ],
    ids=["version", "layers"],
)
def test_a_comparison_that_is_none(part: dict[str, Any], message: str, capsys: Capture) -> None:
    Path("audit.json").write_text(json.dumps(made().to_dict() | part), encoding="utf-8")
    assert run("audit.json", "--html", "a.html") == BAD_INPUT
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("wua-onnx: audit.json: ")
    assert not Path("a.html").exists()


def test_a_comparison_is_no_audit() -> None:
    made().to_json("diff.json")
    with pytest.raises(wua.WuaError, match="got that of a comparison"):
        wua.Audit.from_json("diff.json")


def test_an_older_version_is_converted_where_there_is_a_way(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def from_0(found: dict[str, Any]) -> dict[str, Any]:
        return {**found, "schema_version": 1, "cost": found["costs"]}

    monkeypatch.setattr("wua_onnx._audit_json.UPGRADES", {**UPGRADES, 0: from_0})
    found = json.loads(Path("audit.json").read_text())
    old = {**found, "schema_version": 0, "costs": found.pop("cost")}
    Path("audit.json").write_text(json.dumps(old), encoding="utf-8")
    assert run("audit.json", "--html", "a.html") == FINE
    assert Path("a.html").exists()


@pytest.mark.parametrize("part", ["cost", "layers", "totals", "model", "coverage", "settings", "findings"])
@pytest.mark.parametrize("value", [None, [1], {"surprise": 1}, "text"], ids=str)
def test_a_malformed_part_is_one_line_and_no_file(part: str, value: Any, capsys: Capture) -> None:
    change(**{part: value})
    assert run("audit.json", "--html", "a.html", "--markdown", "a.md", "--csv", "a.csv") == BAD_INPUT
    assert "expected" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["audit.json"]
