"""What lies in .pt files, and models named by the function that makes them. Nothing in a file is unpickled."""

from __future__ import annotations

import sys
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from wua_onnx.cli import BAD_INPUT, FINE, USAGE, main
from wua_onnx.converters import Recipe, is_convertible, to_onnx
from wua_onnx.errors import ConversionError

X = np.random.default_rng(0).standard_normal((9, 5)).astype(np.float32)
MODULE = """
import torch
not_a_model = 3
def build():
    parts = OrderedDict(first=torch.nn.Linear(5, 7), act=torch.nn.ReLU(), last=torch.nn.Linear(7, 3))
    return torch.nn.Sequential(parts)
def broken():
    raise ValueError("no weights today")
from collections import OrderedDict
"""


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran"),))


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(first=nn.Linear(5, 7), act=nn.ReLU(), last=nn.Linear(7, 3))).eval()


@pytest.fixture(autouse=True)
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of the user's in the working directory, which is not on the path."""
    (tmp_path / "nets_of_a_user.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield "nets_of_a_user:build"
    sys.modules.pop("nets_of_a_user", None)
    assert str(tmp_path) not in sys.path


def run(path: Path) -> Any:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: X})[0]


@pytest.mark.parametrize("kept", ["plain", "checkpoint", "parallel"])
def test_weights_go_into_the_module_of_the_factory(tmp_path: Path, factory: str, kept: str) -> None:
    model = net()
    state: Any = model.state_dict()
    if kept == "checkpoint":
        state = {"state_dict": state, "epoch": 3}
    if kept == "parallel":
        state = {f"module.{name}": value for name, value in state.items()}
    torch.save(state, tmp_path / "m.pth")
    converted = to_onnx("m.pth", tmp_path / "m.onnx", X, factory=factory)
    assert converted.layer_names == {"first.weight": "first", "last.weight": "last"}
    np.testing.assert_allclose(run(converted.path), model(torch.tensor(X)).detach(), atol=1e-5)


def test_a_factory_is_a_model_by_itself(tmp_path: Path, factory: str) -> None:
    assert is_convertible(factory)
    converted = to_onnx(factory, tmp_path / "m.onnx", X)
    assert sorted(converted.layer_names.values()) == ["first", "last"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nets_of_a_user:bild", "expected a function bild, got a module with OrderedDict, broken, build"),
        ("nets_of_a_usr:build", "expected a module nets_of_a_usr that can be imported, got none in"),
        ("nets_of_a_user:broken", r"without arguments, got ValueError: no weights today \(line 8 of .*nets_of_a_user"),
        ("nets_of_a_user:OrderedDict", "expected a function that makes a model, got collections.OrderedDict from it"),
    ],
)
def test_bad_factory(tmp_path: Path, spec: str, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        to_onnx(spec, tmp_path / "m.onnx", X)


def test_weights_without_a_factory_say_what_is_missing(tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "m.pt")
    with pytest.raises(ConversionError, match=r"m\.pt: .*got weights alone: name it with --factory"):
        to_onnx(tmp_path / "m.pt", tmp_path / "m.onnx", X)


def test_other_weights_than_those_of_the_factory(tmp_path: Path, factory: str) -> None:
    state = net().state_dict()
    state["extra.weight"] = state.pop("first.bias")
    torch.save(state, tmp_path / "m.pt")
    with pytest.raises(ConversionError, match=r"got weights without first\.bias and with extra\.weight besides"):
        to_onnx(tmp_path / "m.pt", tmp_path / "m.onnx", X, factory=factory)


@pytest.mark.parametrize("content", [Bomb(), {"weight": Bomb()}, net()], ids=["object", "in a dict", "module"])
@pytest.mark.parametrize("name", ["m.pt", "m.pkl"])
def test_pickles_are_refused_and_never_run(tmp_path: Path, factory: str, content: Any, name: str) -> None:
    torch.save(content, tmp_path / name)
    with pytest.raises(ConversionError, match=r"got a pickle .* GLOBAL|got a pickle .*\(GLOBAL.*state_dict\(\)"):
        to_onnx(tmp_path / name, tmp_path / "m.onnx", X, factory=factory)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04"])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.pt").write_bytes(content)
    with pytest.raises(ConversionError, match=r"m\.pt: expected .*, got"):
        to_onnx(tmp_path / "m.pt", tmp_path / "m.onnx", X)


def test_torchscript(tmp_path: Path) -> None:
    model = net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch 2.13 on torch.jit itself
        torch.jit.script(model).save(tmp_path / "m.pt")  # type: ignore[no-untyped-call] # torch's own
    converted = to_onnx(tmp_path / "m.pt", tmp_path / "m.onnx", X)
    assert converted.layer_names == {"first.weight": "first", "last.weight": "last"}
    np.testing.assert_allclose(run(converted.path), model(torch.tensor(X)).detach(), atol=1e-5)


def test_command_line_takes_factories(tmp_path: Path, factory: str, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(net().state_dict(), tmp_path / "m.pt")
    np.save(tmp_path / "X.npy", X)
    data = ["--data", "X.npy"]
    assert main(["convert", "--factory", factory, "m.pt", "m.onnx", *data]) == FINE
    told = capsys.readouterr().err
    for step in (
        "exporting m.pt",
        "translating to ONNX",
        "writing m.onnx",
        "comparing with pytorch",
    ):
        assert step in told
    assert "from pytorch's outputs" in told
    assert main(["convert", factory, "n.onnx", *data, "--shape", "input=batch,5", "--quiet"]) == FINE
    assert capsys.readouterr() == ("", "")
    assert main(["convert", "m.pt", "m.onnx", *data]) == BAD_INPUT
    assert "--factory" in capsys.readouterr().err
    with pytest.raises(SystemExit, match=str(USAGE)):
        main(["convert", factory, "n.onnx", "--shape", "5,5"])
    assert main(["cost", "m.pt", *data, "--factory", factory, "--json"]) == FINE


def test_a_recipe_is_what_the_command_line_passes_on(factory: str) -> None:
    assert is_convertible(Recipe("m.pt", factory=factory))
    assert Recipe("folder/m.pt").name == "m"
