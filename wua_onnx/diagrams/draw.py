"""DOT text -> SVG or PNG, in a child process with a time limit: layout is native code and superlinear.

The child is `python -m wua_onnx.diagrams.draw FORMAT ENGINE` (DOT on stdin, the drawing on stdout) where pygraphviz
is installed and loads, else Graphviz's own `dot` program where that is on the path.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wua_onnx.diagrams.svg import DrawingError, inline

TIMEOUT = 20.0  # seconds
INSTALL = "pip install 'wua-onnx[diagrams]'"
ENGINES = ("dot", "neato")
_UNUSABLE = 9  # exit code of the child where pygraphviz cannot be loaded
_MAX_DOT, _MAX_DRAWING = 4_000_000, 32_000_000  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A drawing ready to stand inside a page, or the reason why there is none, or why it is a simpler one."""

    svg: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The bytes of a PNG, or the reason why there are none, or why they are of a simpler drawing."""

    png: bytes | None
    reason: str | None


def to_svg(digraph: Any, timeout: float = TIMEOUT, prefix: str = "wua") -> Drawing:
    """Return `digraph` (a `graphviz.Digraph`) as SVG that refers to nothing outside itself and holds no script.

    Args:
        digraph: its `source` is drawn with its `engine`; where that takes too long, what its attribute
            `simpler` makes is drawn, if it has one.
        timeout: seconds until the child process is killed.
        prefix: put before every id, so that several drawings can stand in one page.
    """
    drawn, reason = _draw(digraph, "svg", timeout)
    if drawn is None:
        return Drawing(svg=None, reason=reason)
    try:
        return Drawing(svg=inline(drawn.decode("utf-8", "replace"), prefix), reason=reason)
    except DrawingError as error:
        return Drawing(svg=None, reason=str(error))


def to_png(digraph: Any, timeout: float = TIMEOUT) -> Picture:
    """Return `digraph` as a PNG on white, drawn as `to_svg` draws."""
    png, reason = _draw(digraph, "png", timeout)
    return Picture(png=png, reason=reason)


def _draw(digraph: Any, form: str, timeout: float) -> tuple[bytes | None, str | None]:
    """Return the drawing, and why there is none or a simpler one."""
    drawn, reason, late = _drawn(digraph, form, timeout)
    simpler = getattr(digraph, "simpler", None)
    if not late or simpler is None:
        return drawn, reason
    drawn, other, _ = _drawn(simpler(), form, timeout)
    return drawn, f"{reason}: more of it is folded" if drawn is not None else other


def _drawn(digraph: Any, form: str, timeout: float) -> tuple[bytes | None, str | None, bool]:
    """Return the drawing, or why there is none, and whether that is because it takes too long."""
    source, engine = digraph.source.encode("utf-8"), digraph.engine
    if len(source) > _MAX_DOT:
        large = f"the diagram is too large to draw: {len(source):,} bytes of DOT, the limit is {_MAX_DOT:,}"
        return None, large, True
    done = None
    for command in _commands(form, engine if engine in ENGINES else "dot"):
        try:
            done = subprocess.run(
                command, input=source, capture_output=True, timeout=timeout, env=_environment(), check=False
            )
        except subprocess.TimeoutExpired:
            return None, f"drawing took longer than its limit of {timeout:g} s", True
        except OSError as error:
            return None, f"drawing failed: {error.strerror}", False
        if done.returncode != _UNUSABLE:
            break
    if done is None or done.returncode == _UNUSABLE:
        missing = "neither pygraphviz nor the dot program is installed"
        broken = "pygraphviz is installed but cannot be loaded, and there is no dot program"
        return None, f"no diagram is drawn: {missing if done is None else broken} ({INSTALL})", False
    if done.returncode or not done.stdout:
        return None, f"drawing failed with exit code {done.returncode}", False
    if len(done.stdout) > _MAX_DRAWING:
        return None, f"the drawing is too large: {len(done.stdout):,} bytes, the limit is {_MAX_DRAWING:,}", True
    return done.stdout, None, False


def _commands(form: str, engine: str) -> Iterator[list[str]]:
    """Yield the commands that may draw here, the best first."""
    if importlib.util.find_spec("pygraphviz") is not None:
        yield [sys.executable, "-P", "-m", "wua_onnx.diagrams.draw", form, engine]
    program = shutil.which("dot")
    if program:
        look = ["-Gbgcolor=white", "-Gdpi=144"] if form == "png" else []
        yield [program, f"-T{form}", f"-K{engine}", *look]


def _environment() -> dict[str, str]:
    """Return the environment in which the child finds this very package, whatever the working directory holds."""
    root = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, inherited] if inherited else [root])}


def main(arguments: list[str]) -> int:
    """Draw the DOT text on stdin: the child's side."""
    try:
        import pygraphviz
    except ImportError:  # Graphviz's libraries are not those it was built with
        return _UNUSABLE

    form, engine = arguments
    graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode("utf-8"))
    if form == "png":
        graph.graph_attr.update(bgcolor="white", dpi="144")
    sys.stdout.buffer.write(graph.draw(format=form, prog=engine))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
