"""The README's commands and code do what it says, where nothing is installed yet."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(README) if found == language]


def tracked_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The tracked files as they stand, in a folder of their own: what a fresh clone holds."""
    for name in tracked_files():
        target = tmp_path / "clone" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    return tmp_path / "clone"


def outer_environment() -> dict[str, str]:
    """The environment as it was before any virtual environment was activated."""
    inside = Path(sys.prefix)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    places = [place for place in kept["PATH"].split(os.pathsep) if not Path(place).is_relative_to(inside)]
    return {**kept, "PATH": os.pathsep.join(places)} if sys.prefix != sys.base_prefix else kept


def test_readme_opens_with_two_single_line_commands() -> None:
    (first_language, first), (second_language, second) = BLOCK.findall(README)[:2]
    assert (first_language, second_language) == ("bash", "bash")
    assert first.count("\n") == second.count("\n") == 1
    assert "pip install" in first
    assert "wua-onnx analyze examples/digits.onnx" in first
    assert second.rstrip().endswith("scripts/check")
    assert README.index(first) < README.index("\n## "), "a section stands before the first command"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page: str) -> None:
    links = LINK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_files_that_the_contributing_page_names_exist() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:wua_onnx|converters|templates|tests)/[^`<>]*)`", page)
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.install
@pytest.mark.skipif(os.name == "nt", reason="the README's commands are for a POSIX shell")
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout: what a clone holds is not known")
def test_first_command_audits_the_shipped_model_on_a_bare_python(clone: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", blocks("bash")[0]],
        cwd=clone,
        env=outer_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    last_line = done.stdout.rstrip().splitlines()[-1]
    page = Path(last_line[last_line.index(os.sep) :])
    assert page == clone / "audit.html"
    assert "conv1" in page.read_text(encoding="utf-8")
    assert (clone / ".venv" / "bin" / "wua-onnx").is_file()


def test_python_of_the_readme_runs(clone: Path) -> None:
    code = blocks("python")[0]
    assert "wua.analyze(" in code
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=clone,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert {"audit.html", "audit.json"} <= {path.name for path in clone.iterdir()}
