"""`wua-onnx check`: exit codes, outputs, and the settings of a project."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

import wua_onnx as wua
from wua_onnx.cli import BAD_INPUT, BROKEN, FAILED, FINE, USAGE, main

ROOT = Path(__file__).resolve().parent.parent
DIGITS, DATA = str(ROOT / "examples" / "digits.onnx"), str(ROOT / "examples" / "digits.npz")
PARAMS = 16 * 9 + 16 + 32 * 16 * 9 + 32 + 512 * 96 + 96 + 96 * 10 + 10

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings of this repository do not take part."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> int:
    try:
        return main(["check", *arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


def test_the_command_of_the_manual(capsys: Capture, tmp_path: Path) -> None:
    wua.analyze(DIGITS, DATA).to_json(tmp_path / "audit.json")
    budgets = ["--max-flops", "2G", "--max-params", "5M", "--max-peak-memory", "64MiB", "--max-redundancy", "0.6"]
    assert (
        run(DIGITS, "--data", DATA, *budgets, "--baseline", "audit.json", "--allow-increase", "2%", "--quiet") == FINE
    )
    out, err = capsys.readouterr()
    assert "limits kept" in out
    assert "FLOPs vs. baseline" in out
    assert err == ""


def test_a_broken_budget_is_code_1_and_a_table(capsys: Capture) -> None:
    assert run(DIGITS, "--max-params", str(PARAMS - 1), "--max-weight-bytes", "1MB") == BROKEN
    out, err = capsys.readouterr()
    assert "digits: 1 of 2 limits broken" in out
    assert f"{PARAMS:,}" in out
    assert f"{PARAMS - 1:,}" in out
    assert err == ""
    assert run(DIGITS, "--max-params", str(PARAMS)) == FINE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-flops", "2Q"], "k, M, G or B, T, P"), (["--max-peak-memory", "64M"], "64MiB"),
        (["--max-redundancy", "60"], "60%"), (["--max-params", "-1"], "expected"), ([], "expected a budget"),
        (["--baseline", DIGITS, "--allow-increase", "2"], "2% or 0.02"), (["--max-flop", "2G", "--min"], "--min"),
        (["--max-params", "1", "--dim", "batch"], "NAME=SIZE"), (["--max-params", "1", "--json", "--github"], "stdout"),
        (["--max-params", "1", "--json", "--markdown"], "stdout"),
        (["--max-params", "1", "--markdown", "--github"], "stdout"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_usage(arguments: list[str], message: str, capsys: Capture) -> None:
    assert run(DIGITS, *arguments) == USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_no_model_is_usage(capsys: Capture) -> None:
    assert run("--max-params", "1") == USAGE
    assert "expected a model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-flops", "2G"], "--dim batch=1"), (["--min-accuracy", "90%"], "labels"),
        (["--max-params", "1", "--dim", "depth=3"], "depth"), (["--baseline", "absent.json"], "absent.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_what_cannot_be_told_is_bad_input(arguments: list[str], message: str, capsys: Capture) -> None:
    assert run(DIGITS, *arguments) == BAD_INPUT
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1


def test_every_output_at_once(capsys: Capture, tmp_path: Path) -> None:
    outputs = ["--json", "c.json", "--junit", "c.xml", "--sarif", "c.sarif", "--github"]
    assert run(DIGITS, "--max-params", "1k", "--max-weight-bytes", "1MB", *outputs) == BROKEN
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if line.startswith("::")] == [
        line for line in out.splitlines() if line.startswith("::error file=") and "max_params" in line
    ]
    assert err.count("wrote ") == 3
    assert json.loads((tmp_path / "c.json").read_text())["ok"] is False
    assert ElementTree.parse(tmp_path / "c.xml").getroot().get("failures") == "1"
    assert json.loads((tmp_path / "c.sarif").read_text())["version"] == "2.1.0"


def test_markdown_on_stdout_is_nothing_but_markdown(capsys: Capture) -> None:
    assert run(DIGITS, "--max-params", "1k", "--markdown") == BROKEN
    assert capsys.readouterr().out.startswith("**❌ digits: 1 of 1 limit broken**\n\n| figure |")


def test_the_json_of_a_cost_report_is_a_baseline(capsys: Capture, tmp_path: Path) -> None:
    assert main(["cost", DIGITS, "--json", str(tmp_path / "cost.json"), "--quiet"]) == FINE
    assert run(DIGITS, "--baseline", "cost.json") == FINE
    assert "parameters vs. baseline" in capsys.readouterr().out


def test_json_on_stdout_is_nothing_but_json(capsys: Capture) -> None:
    assert run(DIGITS, "--max-params", "1k", "--json") == BROKEN
    assert json.loads(capsys.readouterr().out)["outcomes"][0]["got"] == PARAMS


@pytest.mark.parametrize("option", ["--json", "--junit", "--sarif"])
def test_a_path_that_cannot_be_written_leaves_nothing(option: str, capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    others = [part for name in ("--json", "--junit", "--sarif") if name != option for part in (name, f"{name[2:]}.out")]
    for path in ("folder", "absent/out"):
        assert run(DIGITS, "--max-params", "1M", *others, option, path) == FAILED
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]
    assert "expected" in capsys.readouterr().err


def project(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(f"[tool.wua-onnx]\n{text}\n", encoding="utf-8")


def test_the_settings_of_a_project_hold_and_the_command_line_wins(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path, f'model = {DIGITS!r}\nmax-params = "1k"\nmax-weight-bytes = "1MB"\ndims = {{batch = 3}}')
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert run() == BROKEN
    out, err = capsys.readouterr()
    assert "1 of 2 limits broken" in out
    assert err == f"settings of {tmp_path / 'pyproject.toml'}\n"
    assert run("--max-params", "1M", "--quiet") == FINE
    assert "2 limits kept" in capsys.readouterr().out
    assert run("--max-macs", "2M", "--max-params", "1M", "--json", "--quiet") == FINE
    found = {row["budget"]: row["got"] for row in json.loads(capsys.readouterr().out)["outcomes"]}
    assert found["max_macs"] == wua.cost(DIGITS, dims={"batch": 3}).macs


def test_settings_that_are_not_known_are_usage(capsys: Capture, tmp_path: Path) -> None:
    project(tmp_path, "max-flop = 1")
    assert run(DIGITS) == USAGE
    assert "expected one of max-flops" in capsys.readouterr().err


def test_a_baseline_in_the_settings_is_found_beside_them(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wua.analyze(DIGITS).to_json(tmp_path / "audit.json")
    project(tmp_path, 'baseline = "audit.json"\nallow-increase = "2%"')
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    assert run(DIGITS) == FINE
    assert "vs. baseline" in capsys.readouterr().out


def test_the_page_has_the_limits_at_its_top(capsys: Capture, tmp_path: Path) -> None:
    budgets = ["--max-params", str(PARAMS - 1), "--max-weight-bytes", "1MB"]
    assert run(DIGITS, *budgets, "--html", "out.html") == BROKEN
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "1 of 2 limits broken" in page
    assert page.index('id="budget"') < page.index('id="findings"')
    out, err = capsys.readouterr()
    assert "1 of 2 limits broken" in out
    assert err.startswith("wrote ")
