"""`wua-onnx compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import wua_onnx as wua
from tests.small_models import INPUTS, SAMPLES, data, mlp, model
from wua_onnx.cli import BAD_INPUT, FAILED, FINE, USAGE, main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two models, their audits, and data with labels."""
    monkeypatch.chdir(tmp_path)
    onnx.save(mlp(13, "wide"), "before.onnx")
    onnx.save(mlp(7, "narrow"), "after.onnx")
    np.savez("data.npz", x=data(), y=np.arange(SAMPLES) % 3)
    wua.analyze("before.onnx").to_json("before.json")
    return tmp_path


def run(*arguments: str) -> int:
    try:
        return main(["compare", *arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


MODELS = ("before.onnx", "after.onnx")
AUDITS = ("before.json", "before.json")  # which need no run


def test_every_form_at_once(capsys: Capture) -> None:
    forms = ["--html", "diff.html", "--json", "diff.json", "--markdown", "diff.md"]
    assert run(*MODELS, "--data", "data.npz", *forms) == FINE
    out, err = capsys.readouterr()
    assert out.startswith("after has ")
    assert err.count("wrote ") == 3
    diff = json.loads(Path("diff.json").read_text(encoding="utf-8"))
    [output] = diff["outputs"]["each"]
    assert (diff["outputs"]["samples"], output["name"], output["elements"]) == (SAMPLES, "y", SAMPLES * 3)
    assert {figure["name"] for figure in diff["figures"]} >= {"macs", "utilization", "dead_neurons", "accuracy"}
    assert "Both models ran on 11 samples." in Path("diff.html").read_text(encoding="utf-8")
    assert "Both models ran on 11 samples." in Path("diff.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("option", "start"), [("--json", "{"), ("--markdown", "# before → after")])
def test_one_form_on_stdout_is_alone_there(option: str, start: str, capsys: Capture) -> None:
    assert run(*AUDITS, option, "--quiet") == FINE
    out, err = capsys.readouterr()
    assert out.startswith(start)
    assert err == ""


def test_a_model_and_the_json_of_an_audit() -> None:
    assert run("before.json", "after.onnx", "--json", "diff.json", "--quiet") == FINE
    diff = json.loads(Path("diff.json").read_text(encoding="utf-8"))
    assert diff["outputs"] is None
    assert [layer["matched"] for layer in diff["layers"]] == ["name", "name"]


def test_importance_that_was_measured_otherwise_is_not_compared(capsys: Capture) -> None:
    assert run("before.json", "after.onnx", "--data", "data.npz") == FINE
    out = " ".join(capsys.readouterr().out.split())
    assert "importance is not compared: magnitude against activation on data." in out
    assert "average redundancy" not in out


def test_sizes_go_to_the_model_that_knows_their_names(capsys: Capture) -> None:
    onnx.save(model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.ones((5, 3))}, ["n", 5]), "other.onnx")
    assert run("before.onnx", "other.onnx", "--dim", "batch=11", "--dim", "n=11", "--json", "d.json", "--quiet") == FINE
    macs = next(f for f in json.loads(Path("d.json").read_text())["figures"] if f["name"] == "macs")
    assert (macs["before"], macs["after"]) == (11 * 13 * 8, 11 * 15)
    assert run("before.onnx", "other.onnx", "--dim", "depth=3") == BAD_INPUT
    assert "(batch, n, x), got depth" in capsys.readouterr().err


def test_models_that_share_no_layer_are_compared_as_wholes(capsys: Capture) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    onnx.save(model(nodes, {"w": np.ones((11, 5, 1, 1))}, ["batch", INPUTS, 3, 3]), "stranger.onnx")
    assert run("before.onnx", "stranger.onnx", "--html", "diff.html") == FINE
    out = " ".join(capsys.readouterr().out.split())
    assert "the models share no layer, by name, shape or place: only their figures as wholes are compared." in out
    assert "The models share no layer" in Path("diff.html").read_text(encoding="utf-8")


def test_a_run_that_fails_says_why_and_ends_with_its_own_code(capsys: Capture) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Odd", ["h"], ["y"], domain="com.acme"),
    ]
    onnx.save(model(nodes, {"w": np.ones((5, 3))}, ["batch", 5]), "odd.onnx")
    assert run("before.onnx", "odd.onnx", "--data", "data.npz", "--html", "diff.html") == FAILED
    out = capsys.readouterr().out
    assert "com.acme" in out
    assert Path("diff.html").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["before.onnx"], USAGE, "after"),
        ([*AUDITS, "--json", "--markdown"], USAGE, "got --json and --markdown"),
        ([*AUDITS, "--dim", "batch"], USAGE, "NAME=SIZE"),
        ([*AUDITS, "--batch-size", "0"], USAGE, "above 0"),
        (["absent.onnx", "after.onnx"], BAD_INPUT, "absent.onnx"),
        (["before.json", "absent.json"], BAD_INPUT, "absent.json: expected the JSON of an audit, got none"),
        ([*AUDITS, "--data", "data.npz"], BAD_INPUT, "got two audits"),
        ([*MODELS, "--data", "absent.npz"], BAD_INPUT, "absent.npz"),
        ([*MODELS, "--criterion", "nope"], BAD_INPUT, "nope"),
        ([*AUDITS, "--html", "."], FAILED, "got a folder"),
        ([*AUDITS, "--html", "absent/diff.html"], FAILED, "a folder that is not there"),
        ([*AUDITS, "--html", "diff", "--json", "diff"], FAILED, "expected one output a file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_leaves_nothing(
    arguments: list[str], code: int, says: str, folder: Path, capsys: Capture
) -> None:
    there = sorted(folder.rglob("*"))
    assert run(*arguments, "--quiet") == code
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert len(err.splitlines()) == 1 or code == USAGE
    assert sorted(folder.rglob("*")) == there


@pytest.mark.parametrize(("version", "says"), [(2, "a newer wua-onnx wrote it"), ("x", "got 'x'"), (None, "got None")])
def test_an_audit_of_another_schema_version(version: Any, says: str, capsys: Capture) -> None:
    audit = json.loads(Path("before.json").read_text(encoding="utf-8"))
    Path("other.json").write_text(json.dumps({**audit, "schema_version": version}), encoding="utf-8")
    assert run("other.json", "before.json") == BAD_INPUT
    err = capsys.readouterr().err
    assert "other.json: expected an audit of schema version 1, got" in err
    assert says in err
