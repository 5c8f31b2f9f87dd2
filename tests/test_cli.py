"""The command line: exit codes, stdout for results and stderr for the rest, files whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from wua_onnx.cli import BAD_INPUT, FAILED, FINE, USAGE, main

ROOT = Path(__file__).resolve().parent.parent
DIGITS, DATA = str(ROOT / "examples" / "digits.onnx"), str(ROOT / "examples" / "digits.npz")

COMMANDS = ("analyze", "cost", "check", "report", "convert", "compare", "ops", "diagram")
Capture = pytest.CaptureFixture[str]
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-7]|38|9[0-7])[;m]")

# What prints a result on stdout, and what that result has in it.
RESULTS: dict[str, tuple[list[str], str]] = {
    "analyze": (["analyze", DIGITS, "--static"], "Cost by operator"),
    "cost": (["cost", DIGITS], "Cost by operator"),
    "compare": (["compare", DIGITS, DIGITS], "before"),
    "ops": (["ops"], "ConvTranspose"),
}


@pytest.fixture(autouse=True)
def _small_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def run(*arguments: str) -> int:
    """Return the exit code of the command."""
    try:
        return main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.mark.parametrize("command", RESULTS)
def test_results_go_to_stdout_and_nothing_to_stderr(command: str, capsys: Capture) -> None:
    arguments, has = RESULTS[command]
    assert run(*arguments) == FINE
    out, err = capsys.readouterr()
    assert has in out
    assert err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["paint"], ["cost"], ["cost", DIGITS, "--by", "colour"], ["cost", DIGITS, "--depth", "0"],
        ["cost", DIGITS, "--sort", "age"], ["cost", DIGITS, "--dim", "batch"], ["cost", DIGITS, "--dim", "=3"],
        ["cost", DIGITS, "--dim", "batch=many"], ["cost", DIGITS, "--dim", "batch=-1"],
        ["cost", DIGITS, "--json", "--csv"], ["analyze", DIGITS, "--json", "--markdown"], ["convert", DIGITS],
        ["ops", "--json", "--markdown"], ["compare", DIGITS],
    ],
    ids=" ".join,
)  # fmt: skip
def test_usage(arguments: list[str], capsys: Capture) -> None:
    assert run(*arguments) == USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert "wua-onnx" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["cost", "absent.onnx"], ["analyze", "absent.onnx"], ["compare", DIGITS, "absent.onnx"],
        ["convert", "absent.pt2", "out.onnx"], ["cost", __file__], ["cost", DIGITS, "--dim", "depth=3"],
        ["analyze", DIGITS, "--data", "absent.npz"], ["analyze", DIGITS, "--criterion", "beauty"],
        ["compare", DIGITS, DATA],
    ],
    ids=lambda arguments: " ".join(Path(a).name for a in arguments),
)  # fmt: skip
def test_a_bad_model_or_bad_data(
    arguments: list[str], capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == BAD_INPUT
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("wua-onnx: ")
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_data_that_does_not_fit_the_model(capsys: Capture, tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", np.zeros((3, 1, 9, 8), np.float32))
    assert run("analyze", DIGITS, "--data", str(tmp_path / "wide.npy")) == BAD_INPUT
    assert "9" in capsys.readouterr().err


WRITING = [
    ["cost", DIGITS, "--json"], ["cost", DIGITS, "--csv"], ["cost", DIGITS, "--markdown"],
    ["analyze", DIGITS, "--static", "--html"], ["analyze", DIGITS, "--static", "--json"],
    ["analyze", DIGITS, "--static", "--markdown"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", WRITING, ids=lambda arguments: f"{arguments[0]} {arguments[-1]}")
def test_a_file_that_cannot_be_written(arguments: list[str], capsys: Capture, tmp_path: Path) -> None:
    assert run(*arguments, str(tmp_path / "absent" / "out")) == FAILED
    (tmp_path / "folder").mkdir()
    assert run(*arguments, str(tmp_path / "folder")) == FAILED
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == ["folder"]


@pytest.mark.parametrize("arguments", WRITING, ids=lambda arguments: f"{arguments[0]} {arguments[-1]}")
def test_a_write_that_fails_half_way_leaves_the_old_file(
    arguments: list[str], capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    path.write_text("old", encoding="utf-8")

    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert run(*arguments, str(path)) == FAILED
    assert "No space left" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("arguments", WRITING, ids=lambda arguments: f"{arguments[0]} {arguments[-1]}")
def test_what_was_written_is_said_on_stderr_unless_quiet(arguments: list[str], capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "out"
    assert run(*arguments, str(path)) == FINE
    out, err = capsys.readouterr()
    assert "Cost by operator" in out
    assert err.rstrip().endswith(f"wrote {path.resolve()}")
    size = path.stat().st_size
    assert run(*arguments, str(path), "--quiet") == FINE
    assert capsys.readouterr() == (out, "")
    assert path.stat().st_size == size > 100


@pytest.mark.parametrize(
    "arguments",
    [["cost", DIGITS], ["analyze", DIGITS, "--static"], ["analyze", DIGITS, "--data", DATA], ["ops"]],
    ids=["cost", "analyze", "analyze data", "ops"],
)
def test_json_on_stdout_is_nothing_but_json(arguments: list[str], capsys: Capture) -> None:
    assert run(*arguments, "--json") == FINE
    data = json.loads(capsys.readouterr().out, parse_constant=_refuse)
    assert data


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def test_the_json_of_cost_is_that_of_the_library(capsys: Capture) -> None:
    import wua_onnx as wua

    assert run("cost", DIGITS, "--dim", "batch=3", "--json") == FINE
    assert json.loads(capsys.readouterr().out) == wua.cost(DIGITS, dims={"batch": 3}).to_dict()


def test_convert_says_where_it_wrote(capsys: Capture, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    module, x = torch.nn.Linear(3, 5), torch.ones(2, 3)
    torch.export.save(torch.export.export(module, (x,)), tmp_path / "linear.pt2")
    target = tmp_path / "linear.onnx"
    assert run("convert", str(tmp_path / "linear.pt2"), str(target)) == FINE
    out, err = capsys.readouterr()
    assert (out, f"wrote {target.resolve()}" in err) == ("", True)
    assert run("cost", str(target), "--json", "--quiet") == FINE
    out, err = capsys.readouterr()
    assert (json.loads(out)["params"], err) == (20, "")


@pytest.mark.parametrize("arguments", [("analyze",), ("cost",), ("check", "--max-params", "50")])
def test_commands_tell_the_steps_of_a_conversion(arguments: tuple[str, ...], capsys: Capture, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = str(tmp_path / "linear.pt2")
    torch.export.save(torch.export.export(torch.nn.Linear(3, 5), (torch.ones(2, 3),)), model)
    command, *more = arguments
    assert run(command, model, *more) == FINE
    told = capsys.readouterr().err
    assert "translating to ONNX …" in told
    assert run(command, model, *more, "--verbose") == FINE
    assert len(capsys.readouterr().err) > len(told)  # what the exporter prints and warns of
    assert run(command, model, *more, "--quiet") == FINE
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", ["analyze", "cost"])
def test_colours_only_on_a_terminal_and_not_with_no_color(
    command: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def coloured() -> bool:
        assert run(*RESULTS[command][0]) == FINE
        return COLOUR.search(capsys.readouterr().out) is not None

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert not coloured()  # piped
    monkeypatch.setattr(Console, "is_terminal", property(lambda self: True))
    assert coloured()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured()


def shell(arguments: Sequence[str], stdout: int) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "wua_onnx", *arguments]
    return subprocess.run(program, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)


@pytest.mark.parametrize("command", ["cost", "ops"])
def test_a_reader_that_goes_away_is_no_error(command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = shell(RESULTS[command][0], writing)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (FINE, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_behind_stdout_is_one_line_and_a_code() -> None:
    with Path("/dev/full").open("w") as full:
        ended = shell(["cost", DIGITS, "--json"], full.fileno())
    assert ended.returncode == FAILED
    assert ended.stderr.startswith("wua-onnx: ")
    assert "Traceback" not in ended.stderr


def test_interrupting_ends_with_a_line(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def interrupted(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wua_onnx._profiled.cost_and_profile", interrupted)
    assert run("cost", DIGITS) == FAILED
    assert capsys.readouterr() == ("", "wua-onnx: interrupted\n")


def test_version_and_help_go_to_stdout(capsys: Capture) -> None:
    from wua_onnx import __version__

    assert run("--version") == FINE
    assert capsys.readouterr().out == f"wua-onnx {__version__}\n"
    for command in COMMANDS:
        assert run(command, "--help") == FINE
        out, err = capsys.readouterr()
        assert (f"wua-onnx {command}" in out, err) == (True, "")
        assert "%%" not in out


def test_the_examples_of_the_help_run(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("model", "before", "after"):
        shutil.copy(DIGITS, f"{name}.onnx")
    shutil.copy(DATA, "X.npz")
    run("analyze", "model.onnx", "--static", "--json", "audit.json")
    for command in COMMANDS:
        run(command, "--help")
        *_, example = capsys.readouterr().out.split("wua-onnx ")
        if command == "convert":  # needs TensorFlow, whose own tests convert
            assert run(*example.split()) == BAD_INPUT
            assert "model.keras: expected a .keras or .h5 file, got no such file" in capsys.readouterr().err
        else:
            assert (example, run(*example.split())) == (example, FINE)
    assert {"audit.html", "diff.html", "graph.svg"} <= {path.name for path in tmp_path.iterdir()}


def test_data_without_its_option_is_told_where_to_go(capsys: Capture) -> None:
    assert run("analyze", DIGITS, DATA) == USAGE
    assert "unrecognized arguments: " in (err := capsys.readouterr().err)
    assert err.endswith("digits.npz: data goes behind --data\n")
    assert run("analyze", DIGITS, "--fast") == USAGE
    assert capsys.readouterr().err.endswith("unrecognized arguments: --fast\n")
