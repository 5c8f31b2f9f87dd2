"""Exported programs and .pt2 files, which are loaded without running anything that is in them."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from wua_onnx.converters import is_convertible, to_onnx
from wua_onnx.errors import ConversionError

from .shared import first_dims, run, samples


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(7, 3), nn.Linear(5, 3)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"sum": self.left(a) + self.right(b), "which": self.left(a).argmax(1)}


def exported(model: nn.Module, *args: torch.Tensor, dynamic: bool = True) -> torch.export.ExportedProgram:
    axes = tuple({0: torch.export.Dim.AUTO} for _ in args) if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch 2.13 copies its own deprecated LeafSpec
        return torch.export.export(model, args, dynamic_shapes=axes)


def test_exported_program_and_pt2_file(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.Linear(7, 3)).eval()
    program = exported(model, torch.tensor(samples(4, 5)))
    torch.export.save(program, tmp_path / "m.pt2")
    x = samples(9, 5)
    for given, X in [(program, None), (program, x), (tmp_path / "m.pt2", x), (str(tmp_path / "m.pt2"), None)]:
        assert is_convertible(given)
        converted = to_onnx(given, tmp_path / "m.onnx", X)
        assert first_dims(converted.path) == ["batch"]
        assert converted.layer_names == {"0.weight": "0", "2.weight": "2"}
        np.testing.assert_allclose(run(converted.path, x)[0], model(torch.tensor(x)).detach(), atol=1e-5)


def test_program_with_a_fixed_batch_takes_that_many_samples(tmp_path: Path) -> None:
    program = exported(nn.Linear(5, 3), torch.ones(4, 5), dynamic=False)
    converted = to_onnx(program, tmp_path / "m.onnx", samples(9, 5))
    assert first_dims(converted.path) == [4]
    assert converted.max_difference is not None


def test_program_names_its_inputs_when_x_has_others(tmp_path: Path) -> None:
    program = exported(TwoInputs(), torch.ones(4, 7), torch.ones(4, 5))
    with pytest.raises(ConversionError, match="expected inputs a, b, got a, c"):
        to_onnx(program, tmp_path / "m.onnx", {"a": samples(9, 7), "c": samples(9, 5)})


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran"),))


def rewritten(source: Path, target: Path, *, name: str, data: bytes) -> None:
    """Copy an archive; the members that end in `name` hold `data` instead, or it is added."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        members = old.namelist()
        for member in members:
            new.writestr(member, data if member.endswith(name) else old.read(member))
        if not any(member.endswith(name) for member in members):
            new.writestr(f"{members[0].partition('/')[0]}/{name}", data)


@pytest.mark.parametrize("place", ["data/sample_inputs/model.pt", "data/constants/opaque_obj_0", "models/model.json"])
def test_pt2_file_never_runs_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    good, bad = tmp_path / "good.pt2", tmp_path / "bad.pt2"
    torch.export.save(exported(nn.Linear(5, 3), torch.ones(4, 5)), good)
    if place.endswith(".json"):
        with zipfile.ZipFile(good) as archive:
            document = archive.read(next(n for n in archive.namelist() if n.endswith(place))).decode()
        start = document.index('"expr_str": "') + len('"expr_str": "')
        end = document.index('"', start)
        data = (document[:start] + "open('ran', 'w')" + document[end:]).encode()
        assert json.loads(data)
    else:
        data = pickle.dumps(Bomb())
    rewritten(good, bad, name=place, data=data)
    with pytest.raises(ConversionError, match=r"bad\.pt2: expected"):
        to_onnx(bad, tmp_path / "m.onnx", samples(9, 5))
    assert not (tmp_path / "ran").exists()


def test_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "m.pt2").write_bytes(b"not a zip")
    with pytest.raises(ConversionError, match=r"m\.pt2: expected the zip archive"):
        to_onnx(tmp_path / "m.pt2", tmp_path / "m.onnx")
