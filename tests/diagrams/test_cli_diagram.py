"""`wua-onnx diagram`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import wua_onnx as wua
from wua_onnx.cli import BAD_INPUT, FAILED, FINE, USAGE, main
from wua_onnx.diagrams import draw

EXAMPLES = Path(__file__).parents[2] / "examples"
DIGITS, DATA = str(EXAMPLES / "digits.onnx"), str(EXAMPLES / "digits.npz")
Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("name", "start"), [("g.svg", b"<svg "), ("g.png", b"\x89PNG"), ("g.dot", b"digraph "), ("g.gv", b"digraph ")]
)
def test_the_suffix_decides_the_form(name: str, start: bytes, tmp_path: Path, capsys: Capture) -> None:
    assert main(["diagram", DIGITS, "-o", str(tmp_path / name)]) == FINE
    assert (tmp_path / name).read_bytes().startswith(start)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert capsys.readouterr() == ("", f"wrote {tmp_path / name}\n")


@pytest.mark.parametrize(
    ("arguments", "legend"),
    [
        ([], "convolution"),
        (["--color", "flops"], "FLOPs, share of the model"),
        (["--color", "params"], "parameters, share of the model"),
        (["--color", "redundancy"], "redundancy"),
        (["--color", "importance", "--data", DATA], "mean importance of a weight"),
        (["--color", "dead", "--data", DATA, "--criterion", "magnitude"], "dead neurons"),
        (["--color", "time"], "time, share of the model"),
        (["--network"], "strongest 3 pathways"),
    ],
)
def test_dot_text_on_stdout(arguments: list[str], legend: str, capsys: Capture) -> None:
    assert main(["diagram", DIGITS, "-o", "-", "--quiet", *arguments]) == FINE
    out, err = capsys.readouterr()
    assert out.startswith("digraph ")
    assert f">{legend}<" in out
    assert err == ""


def test_weights_are_not_read_for_a_colour_of_cost(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("wua_onnx.layers.Layer.weight", lambda self: pytest.fail("a weight was read"))
    assert main(["diagram", DIGITS, "-o", "-", "--color", "macs"]) == FINE
    boxes = re.findall(r'href="#layer-(\d)"', capsys.readouterr().out)
    assert boxes == ["0", "1", "2", "3"]


def test_the_json_of_an_audit_is_drawn_too(tmp_path: Path, capsys: Capture) -> None:
    wua.analyze(DIGITS).to_json(tmp_path / "a.json")
    for arguments in ([], ["--color", "redundancy"], ["--detail", "fc1"], ["--depth", "1"]):
        assert main(["diagram", str(tmp_path / "a.json"), "-o", "-", *arguments]) == FINE
        assert "fc1" in capsys.readouterr().out
    assert main(["diagram", str(tmp_path / "a.json"), "-o", "-", "--network"]) == BAD_INPUT
    assert "expected a stack of dense layers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-o", "g.gif"], FAILED, "g.gif: expected a name ending in .svg, .png, .dot or .gv, got '.gif'"),
        (["-o", "no/g.svg"], FAILED, "expected a writable path, got one in a folder that is not there"),
        (["-o", "-", "--network", "--depth", "1"], USAGE, "expected --network alone"),
        (["-o", "-", "--detail", "encoder/7"], BAD_INPUT, "detail: expected the path of a module, got 'encoder/7'"),
    ],
)
def test_what_cannot_be_drawn(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["diagram", DIGITS, *arguments]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_draw_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(draw, "_commands", lambda form, engine: [])
    assert main(["diagram", DIGITS, "-o", str(tmp_path / "g.svg")]) == FAILED
    assert "pip install 'wua-onnx[diagrams]'" in capsys.readouterr().err
    assert main(["diagram", DIGITS, "-o", str(tmp_path / "g.dot")]) == FINE


def test_a_note_says_that_more_is_folded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    drawn = draw._drawn
    late = [(None, "drawing took longer than its limit of 1 s", True)]
    monkeypatch.setattr(draw, "_drawn", lambda *given: late.pop() if late else drawn(*given))
    assert main(["diagram", DIGITS, "-o", str(tmp_path / "g.svg"), "--time-limit", "1", "--quiet"]) == FINE
    assert "note: diagram: drawing took longer than its limit of 1 s: more of it is folded" in capsys.readouterr().err
    assert (tmp_path / "g.svg").read_bytes().startswith(b"<svg ")
    assert (tmp_path / "g.dot").read_bytes().startswith(b"digraph ")
