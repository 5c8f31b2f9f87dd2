"""What lies in .pt files, and models named by the function that makes them. Nothing in a file is unpickled."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("kept", ["plain", "checkpoint", "parallel", "lightning"])
def test_weights_go_into_the_module_of_the_factory(tmp_path: Path, factory: str, kept: str) -> None:
    model = net()
    state: Any = model.state_dict()
    if kept == "checkpoint":
        state = {"state_dict": state, "epoch": 3}
    if kept == "parallel":
        state = {f"module.{name}": value for name, value in state.items()}
    if kept == "lightning":
        state = {"state_dict": {f"model.{name}": value for name, value in state.items()}, "epoch": 3}
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
        ("nets_of_a_user:not_a_model", "expected a function that makes a model, got int"),
        ("nets_of_a_user:OrderedDict", "expected a function that makes a model, got collections.OrderedDict from it"),
    ],
)
def test_bad_factory(tmp_path: Path, spec: str, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        to_onnx(spec, tmp_path / "m.onnx", X)


def test_a_factory_without_a_function(tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "m.pt")
    with pytest.raises(ConversionError, match=r"factory: expected module:function, .*, got 'nets_of_a_user'"):
        to_onnx(tmp_path / "m.pt", tmp_path / "m.onnx", X, factory="nets_of_a_user")


def test_what_a_factory_prints_is_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talking = "def talking():\n    print('building')\n    return build()\n"
    (tmp_path / "nets_of_a_user.py").write_text(f"print('loading'){MODULE}{talking}")
    to_onnx("nets_of_a_user:talking", tmp_path / "m.onnx", X)
    assert capsys.readouterr() == ("", "loading\nbuilding\n")


def test_what_frameworks_say_when_a_factory_imports_them_is_shown_where_asked_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = "import os, warnings\nos.write(2, b'native')\nwarnings.warn('deprecated')\n"
    (tmp_path / "nets_of_a_user.py").write_text(f"{noise}{MODULE}")
    to_onnx("nets_of_a_user:build", tmp_path / "m.onnx", X)
    assert capfd.readouterr() == ("", "")
    sys.modules.pop("nets_of_a_user")
    to_onnx("nets_of_a_user:build", tmp_path / "m.onnx", X, verbose=True)
    told = capfd.readouterr().err
    assert "native" in told
    assert "UserWarning: deprecated" in told


def safetensors(path: Path, table: object, content: bytes) -> Path:
    head = table if isinstance(table, bytes) else json.dumps(table).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + content)
    return path


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_safetensors(tmp_path: Path, factory: str, kind: str) -> None:
    model = net()
    types = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    state = {name: value.to(types[kind]) for name, value in model.state_dict().items()}
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    content = b""
    for name, value in state.items():
        added = value.view(torch.uint8).numpy().tobytes()
        place = [len(content), len(content) + len(added)]
        table[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": place}
        content += added
    path = safetensors(tmp_path / "m.safetensors", table, content)
    converted = to_onnx(path, tmp_path / "m.onnx", X, factory=factory)
    model.load_state_dict(state)
    np.testing.assert_allclose(run(converted.path), model(torch.tensor(X)).detach(), atol=1e-5)
    with pytest.raises(ConversionError, match="got weights alone: name it with --factory"):
        to_onnx(path, tmp_path / "m.onnx", X)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"", "expected a safetensors file, got something else"),
        (b"{" * 10**5, "got a table that is no JSON"),
        ([], "expected a table of tensors, got list"),
        ({"a": 3}, "expected type, shape and place of a tensor, got 3"),
        ({"a": {"dtype": "F3", "shape": [1], "data_offsets": [0, 4]}}, "expected type, shape and place"),
        (
            {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
            r"expected 8 bytes for F32 \[2\], got 0 to 4 of 4",
        ),
        (
            {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},
            r"expected 8 bytes for F32 \[2\], got 0 to 8 of 4",
        ),
        ({"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}, r"expected 4 bytes for F32 \[-1, -1\]"),
    ],
)
def test_damaged_safetensors(tmp_path: Path, factory: str, table: object, message: str) -> None:
    path = safetensors(tmp_path / "m.safetensors", table, b"four")
    with pytest.raises(ConversionError, match=message):
        to_onnx(path, tmp_path / "m.onnx", X, factory=factory)


def test_a_shared_tensor_may_be_saved_once(tmp_path: Path) -> None:
    built = "    net = torch.nn.Sequential(torch.nn.Linear(5, 5), torch.nn.Linear(5, 5))\n"
    tied = "    net[1].weight = net[0].weight\n    return net\n"
    (tmp_path / "nets_of_a_user.py").write_text(f"import torch\ndef build():\n{built}{tied}")
    state = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5)).state_dict()
    del state["1.weight"]
    torch.save(state, tmp_path / "m.pt")
    converted = to_onnx(tmp_path / "m.pt", tmp_path / "m.onnx", X, factory="nets_of_a_user:build")
    hidden = X @ state["0.weight"].numpy().T + state["0.bias"].numpy()
    expected = hidden @ state["0.weight"].numpy().T + state["1.bias"].numpy()
    np.testing.assert_allclose(run(converted.path), expected, atol=1e-5)


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
