"""The fixture `wua_budget`, in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
DIGITS = ROOT / "examples" / "digits.onnx"
PARAMS = 16 * 9 + 16 + 32 * 16 * 9 + 32 + 512 * 96 + 96 + 96 * 10 + 10


def run(folder: Path, body: str, settings: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "pyproject.toml").write_text(f"[tool.pytest.ini_options]\n{settings}", encoding="utf-8")
    (folder / "test_size.py").write_text(f"import sys\n\n{body}\n", encoding="utf-8")
    program = [sys.executable, "-m", "pytest", "-q", "-p", "wua_onnx._pytest_plugin", "-p", "no:cacheprovider"]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": path}
    return subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_budget_that_is_kept_passes_and_gives_the_result(tmp_path: Path) -> None:
    body = f"def test_it(wua_budget):\n    assert wua_budget({str(DIGITS)!r}, max_params={PARAMS}).ok"
    done = run(tmp_path, body)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_budget_that_breaks_fails_with_the_table(tmp_path: Path) -> None:
    done = run(tmp_path, f"def test_it(wua_budget):\n    wua_budget({str(DIGITS)!r}, max_params={PARAMS - 1})")
    assert done.returncode == 1
    assert "AssertionError: digits: 1 of 1 limit broken" in done.stdout
    assert f"{PARAMS:,}" in done.stdout
    assert "_pytest_plugin.py" not in done.stdout  # the test's own line is what is shown


def test_the_budgets_of_the_project_hold_where_the_test_names_none(tmp_path: Path) -> None:
    settings = f'[tool.wua-onnx]\nmodel = {str(DIGITS)!r}\nmax-params = "1k"\n'
    done = run(tmp_path, "def test_it(wua_budget):\n    wua_budget()", settings)
    assert done.returncode == 1
    assert "1 of 1 limit broken" in done.stdout


def test_the_plugin_loads_nothing_heavy_until_it_is_used(tmp_path: Path) -> None:
    heavy = ["onnx", "onnx_ir", "numpy", "sympy", "onnxruntime"]
    done = run(tmp_path, f"def test_it():\n    assert [name for name in {heavy} if name in sys.modules] == []")
    assert done.returncode == 0, done.stdout


def test_the_package_declares_the_plugin() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"][
        "pytest11"
    ]
    [module] = declared.values()
    assert import_module(module).wua_budget is not None


@pytest.mark.parametrize("wrong", ["max_param=1", "max_params='2Q'"])
def test_a_budget_that_does_not_parse_is_an_error_of_the_test(wrong: str, tmp_path: Path) -> None:
    done = run(tmp_path, f"def test_it(wua_budget):\n    wua_budget({str(DIGITS)!r}, {wrong})")
    assert done.returncode == 1
    assert "BudgetError" in done.stdout
