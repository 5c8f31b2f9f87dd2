"""`Diagram`: DOT text that can be drawn, kept and shown in a notebook."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import graphviz

from wua_onnx._files import check_writable, write_bytes, write_text
from wua_onnx.diagrams import draw
from wua_onnx.errors import OutputError

FORMS = (".svg", ".png", ".dot", ".gv")
_DOT_TEXT = "its DOT text is there all the same: .source, or a file whose name ends in .dot"


class Diagram(graphviz.Digraph):  # type: ignore[misc]  # graphviz ships no type information
    """A `graphviz.Digraph` that draws itself with pygraphviz or, where there is only that, with the program `dot`.

    `source` is its DOT text, which is there whatever is installed. In a notebook it shows itself.

    Attributes:
        left_out: connections that are not drawn.
        simpler: makes the same with more of it folded, which is drawn where this takes too long; None for none.
    """

    left_out: int = 0
    simpler: Callable[[], Diagram] | None = None

    def to_svg(self, path: str | Path | None = None, *, timeout: float = draw.TIMEOUT) -> str:
        """Return the diagram as SVG, and write it to `path` where one is given.

        Where drawing takes longer than `timeout` seconds, the diagram is folded further, and a warning says so; the
        DOT text of the whole is then written beside `path`.

        Raises:
            OutputError: nothing can draw it, or the path cannot be written.
        """
        self._check(path)
        drawing = draw.to_svg(self, timeout)
        if drawing.svg is None:
            raise OutputError(f"diagram: {drawing.reason}; {_DOT_TEXT}")
        self._keep(path, drawing.svg.encode(), drawing.reason)
        return drawing.svg

    def to_png(self, path: str | Path, *, timeout: float = draw.TIMEOUT) -> Path:
        """Write the diagram to `path` as PNG, on white; see `to_svg`.

        Raises:
            OutputError: nothing can draw it, or the path cannot be written.
        """
        self._check(path)
        picture = draw.to_png(self, timeout)
        if picture.png is None:
            raise OutputError(f"diagram: {picture.reason}; {_DOT_TEXT}")
        self._keep(path, picture.png, picture.reason)
        return Path(path)

    def write(self, path: str | Path, *, timeout: float = draw.TIMEOUT) -> Path:
        """Write the diagram to `path`: .svg, .png or DOT text (.dot, .gv) by its suffix.

        Raises:
            OutputError: the suffix is another, nothing can draw it, or the path cannot be written.
        """
        target = Path(path)
        form = form_of(target)
        if form == ".svg":
            self.to_svg(target, timeout=timeout)
        elif form == ".png":
            self.to_png(target, timeout=timeout)
        else:
            write_text(target, self.source)
        return target

    def _check(self, path: str | Path | None) -> None:
        if path is not None:
            check_writable(Path(path))

    def _keep(self, path: str | Path | None, content: bytes, note: str | None) -> None:
        """Write a drawing; one that is not the whole diagram is told, and the DOT text stands beside it."""
        if path is not None:
            write_bytes(Path(path), content)
        if note is not None:
            beside = Path(path).with_suffix(".dot") if path is not None else None
            if beside is not None:
                write_text(beside, self.source)
            told = f"{note}; the DOT text of the whole is in {beside}" if beside else note
            warnings.warn(f"diagram: {told}", stacklevel=3)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, str]:
        """Show itself in a notebook: as SVG, or as DOT text where nothing can draw."""
        drawing = draw.to_svg(self)
        return {"text/plain": self.source} if drawing.svg is None else {"image/svg+xml": drawing.svg}


def form_of(path: Path) -> str:
    """Return the form that the name of `path` asks for, a suffix of `FORMS`; raises OutputError for any other."""
    form = path.suffix.lower()
    if form not in FORMS:
        raise OutputError(f"{path}: expected a name ending in {', '.join(FORMS[:-1])} or {FORMS[-1]}, got {form!r}")
    return form
