"""`[tool.wua-onnx]` of `pyproject.toml`."""

from __future__ import annotations

from pathlib import Path

import pytest

from wua_onnx.budget.config import settings_from
from wua_onnx.errors import BudgetError


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def test_the_nearest_file_with_the_table_holds(tmp_path: Path) -> None:
    top = write(tmp_path, '[tool.wua-onnx]\nmax-flops = "2G"\nmax_params = 7\nmodel = "net.onnx"\ndims = {batch = 3}\n')
    inner = write(tmp_path / "a" / "b", "[tool.other]\nmax-flops = 1\n")
    settings = settings_from(inner)
    assert settings.file == top.resolve() / "pyproject.toml"
    assert settings.budgets == {"max_flops": "2G", "max_params": 7}
    assert settings.model == str(top.resolve() / "net.onnx")
    assert settings.dims == {"batch": 3}
    write(tmp_path / "a" / "b", "[tool.wua-onnx]\nmax-flops = 1\n")
    assert settings_from(inner).budgets == {"max_flops": 1}


def test_no_table_is_no_settings(tmp_path: Path) -> None:
    write(tmp_path, "[tool]\n")
    assert settings_from(tmp_path).file is None or settings_from(tmp_path).file != tmp_path / "pyproject.toml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max-flop = 1", r"expected one of max-flops, .*min-accuracy.*baseline.*allow-increase.*got 'max-flop'"),
        ("max-flops = '2Q'", r"max_flops: expected a number such as .*got '2Q'"),
        ("max-flops = true", "max_flops"),
        ("max-flops = 1\nmax_flops = 2", "expected once, got 'max_flops'"),
        ("baseline = 3", "baseline: expected a path, got 3"),
        ("dims = 3", "dims: expected a table of sizes"),
        ("dims = {batch = -1}", "dims: expected a table of sizes"),
        ("max-flops = ", "expected TOML"),
    ],
)
def test_bad_settings_say_where_and_what(text: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, f"[tool.wua-onnx]\n{text}\n")
    with pytest.raises(BudgetError, match=message) as raised:
        settings_from(tmp_path)
    assert "pyproject.toml" in str(raised.value)


def test_a_table_that_is_none(tmp_path: Path) -> None:
    write(tmp_path, "[tool]\nwua-onnx = 3\n")
    with pytest.raises(BudgetError, match="expected a table, got 3"):
        settings_from(tmp_path)
