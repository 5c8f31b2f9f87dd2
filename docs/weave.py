"""Fills docs/tutorial.md with what its program, docs/tutorial.py, printed.

    python docs/weave.py FOLDER     run the program in FOLDER, and write the filled page there
    python docs/weave.py --write    do so in a folder that is thrown away; renew the page and its pictures in docs/

The page has two kinds of markers. Between them stands what the last run gave:

    <!-- cell: NAME -->...<!-- /cell -->    the code of a cell and what it printed (`output:` leaves out the code)
    <!--= EXPRESSION -->...<!--/-->         a value, such as `audit.total_weights` or `percent(audit.utilization)`
"""

from __future__ import annotations

import io
import linecache
import os
import re
import shutil
import sys
import tempfile
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
PAGE, PROGRAM = DOCS / "tutorial.md", DOCS / "tutorial.py"
WIDTH = 96  # columns of the tables

_CELL = re.compile(r"^# %% (.+)\n", re.MULTILINE)
_BLOCK = re.compile(r"<!-- (cell|output): ([\w ]+) -->\n.*?<!-- /\1 -->", re.DOTALL)
_NOISE = re.compile(r"  # type: ignore\[[\w-]+\].*")
_VALUE = re.compile(r"<!--= (.+?) -->.*?<!--/-->", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell of the program: its code, and what it printed."""

    code: str
    printed: str


def run(program: Path, folder: Path) -> tuple[dict[str, Cell], dict[str, Any]]:
    """Run the cells of `program` in `folder`; return them by name, and the names they defined."""
    os.environ.update({"COLUMNS": str(WIDTH), "NO_COLOR": "1", "MPLBACKEND": "Agg"})
    text = program.read_text(encoding="utf-8")
    _, *parts = _CELL.split(text)
    names: dict[str, Any] = {"__name__": "tutorial"}
    cells: dict[str, Cell] = {}
    file = f"{program.parent.name}/{program.name}"  # converted models tell it: the same wherever this folder lies
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    with chdir(folder):
        for name, code in zip(parts[::2], parts[1::2], strict=True):
            printed = io.StringIO()
            above = text[: text.index(f"# %% {name}\n{code}")].count("\n") + 1  # so that errors name the right line
            with redirect_stdout(printed):
                exec(compile("\n" * above + code, file, "exec"), names)
            cells[name] = Cell(code=_NOISE.sub("", code).strip("\n"), printed=_trimmed(printed.getvalue()))
    return cells, names


def fill(page: str, cells: dict[str, Cell], names: dict[str, Any]) -> str:
    """Return `page` with what stands between its markers renewed."""
    from wua_onnx.report.numbers import percent

    known = {**names, "percent": percent}

    def block(match: re.Match[str]) -> str:
        kind, name = match.groups()
        cell = cells[name]
        code = f"```python\n{cell.code}\n```\n" if kind == "cell" else ""
        output = f"```text\n{cell.printed}\n```\n" if cell.printed else ""
        return f"<!-- {kind}: {name} -->\n{code}{chr(10) if code and output else ''}{output}<!-- /{kind} -->"

    def value(match: re.Match[str]) -> str:
        return f"<!--= {match[1]} -->{eval(match[1], known)}<!--/-->"

    return _VALUE.sub(value, _BLOCK.sub(block, page))


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))


def weave(folder: Path) -> None:
    """Run the program in `folder`, and write the filled page there."""
    folder.mkdir(parents=True, exist_ok=True)
    cells, names = run(PROGRAM, folder)
    (folder / PAGE.name).write_text(fill(PAGE.read_text(encoding="utf-8"), cells, names), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run as the module's first lines say."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    if arguments != ["--write"]:
        weave(Path(arguments[0]))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weave(folder)
        shutil.copy(folder / PAGE.name, PAGE)
        shutil.rmtree(DOCS / "images", ignore_errors=True)
        shutil.copytree(folder / "images", DOCS / "images")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
