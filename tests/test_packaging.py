"""What the wheel holds, and that it works where there is no checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
# Folders at the top of the repository that install inside the package, under another name.
MOVED = {"wua_onnx.converters": "converters", "wua_onnx.templates": "templates"}


def settings() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    return table


def folder_of(package: str) -> Path:
    top, _, rest = package.partition(".")
    return ROOT / MOVED[package] if package in MOVED else ROOT / top / rest.replace(".", "/")


def packages_in_the_tree() -> set[str]:
    """Every folder that holds Python or data files and would install, named as it is imported."""
    found = set()
    for package, folder in {"wua_onnx": "wua_onnx", **MOVED}.items():
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                found.add(".".join([package, *file.parent.relative_to(ROOT / folder).parts]))
    return found


def files_in_the_tree() -> set[str]:
    """Every file that should be in the wheel, by its path there."""
    found = set()
    for package in packages_in_the_tree():
        for file in folder_of(package).iterdir():
            if file.is_file():
                found.add(f"{package.replace('.', '/')}/{file.name}")
    return found


def test_packages_listed_are_those_in_the_tree() -> None:
    listed = settings()["packages"]
    assert len(listed) == len(set(listed))
    assert set(listed) == packages_in_the_tree()


def test_every_package_is_a_regular_one() -> None:
    """A folder without `__init__.py` is a namespace package: it imports, yet not everything finds its files."""
    assert [name for name in packages_in_the_tree() if not (folder_of(name) / "__init__.py").is_file()] == []


def test_moved_packages_are_mapped() -> None:
    assert settings()["package-dir"] == {"wua_onnx": "wua_onnx", **MOVED}


def requirements(extras: tuple[str, ...]) -> list[Requirement]:
    """What the package needs with these extras, its own extras resolved."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *(text for name in extras for text in project["optional-dependencies"][name])]
    found = []
    for requirement in map(Requirement, texts):
        own = requirement.name == project["name"]
        found += requirements(tuple(requirement.extras)) if own else [requirement]
    return found


def test_constraints_pin_what_the_tests_need() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    assert len(pinned) == len(lines)
    assert [line for line in lines if "+" in line] == [], "a local label fits one machine's wheels only"
    for requirement in requirements(("test",)):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), str(requirement)


def clean_environment() -> dict[str, str]:
    """The environment without what makes a Python see other packages than its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the tree: setuptools leaves its working files beside the sources."""
    source = tmp_path_factory.mktemp("source") / "copy"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
    shutil.copytree(ROOT, source, ignore=ignored)
    target = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, source, folder=target)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel, and sees this environment's other packages."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=os.name != "nt")
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / ("python.exe" if os.name == "nt" else "python")
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    run(*pip, "--no-index", "--no-deps", wheel, folder=home)
    own = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=home).stdout.strip()
    # This adds the packages here, and leaves out what their own .pth files would add: among them may be the
    # editable install of this very checkout.
    (Path(own) / "dependencies.pth").write_text("\n".join(p for p in sys.path if p.endswith("-packages")))
    return python


@pytest.mark.install
def test_wheel_holds_every_file_and_the_license(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    packed = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert packed == files_in_the_tree()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


@pytest.mark.install
def test_installed_package_is_the_one_from_the_wheel(python: Path, tmp_path: Path) -> None:
    code = "import wua_onnx, wua_onnx.converters, wua_onnx.templates as t; print(wua_onnx.__file__, t.__file__)"
    places = run(python, "-c", code, folder=tmp_path).stdout.split()
    assert len(places) == 2
    assert all(Path(place).is_relative_to(python.parent.parent) for place in places)


@pytest.mark.install
@pytest.mark.parametrize("how", ["command", "module"])
def test_installed_package_audits_the_shipped_model(python: Path, tmp_path: Path, how: str) -> None:
    start: list[str | Path] = [python.parent / "wua-onnx"] if how == "command" else [python, "-m", "wua_onnx"]
    options: list[str | Path] = ["--data", EXAMPLES / "digits.npz", "--html", "audit.html", "--json", "audit.json"]
    run(*start, "analyze", EXAMPLES / "digits.onnx", *options, folder=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.html", "audit.json"]
    audit = json.loads((tmp_path / "audit.json").read_text())
    assert audit["schema_version"] == 1
    assert {layer["weight"] for layer in audit["layers"]} >= {"fc1.weight", "fc2.weight"}
    assert audit["recording"]["samples"] == 360
    page = (tmp_path / "audit.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert "fc1" in page
