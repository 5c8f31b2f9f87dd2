"""What `show` returns: a neuron diagram that can be saved, and shows itself in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wua_onnx._files import write_bytes, write_text
from wua_onnx.diagrams import draw
from wua_onnx.errors import OutputError

if TYPE_CHECKING:
    import graphviz


@dataclass(frozen=True, slots=True)
class NetworkDrawing:
    """A neuron diagram. In a notebook it shows itself.

    Attributes:
        digraph: its DOT form.
        left_out: connections that are not drawn.
    """

    digraph: graphviz.Digraph
    left_out: int

    def to_svg(self) -> str:
        """Return the diagram as SVG; raises OutputError where nothing can draw it."""
        drawing = draw.to_svg(self.digraph)
        if drawing.svg is None:
            raise OutputError(f"neuron diagram: {drawing.reason}")
        return drawing.svg

    def save(self, path: str | Path) -> Path:
        """Write the diagram to `path`: .svg, .png or .dot by its suffix.

        Raises:
            OutputError: the suffix is another, nothing can draw it, or the path cannot be written.
        """
        target = Path(path)
        form = form_of(target)
        if form == ".svg":
            write_text(target, self.to_svg())
        elif form == ".dot":
            write_text(target, self.digraph.source)
        else:
            picture = draw.to_png(self.digraph)
            if picture.png is None:
                raise OutputError(f"neuron diagram: {picture.reason}")
            write_bytes(target, picture.png)
        return target

    def _repr_svg_(self) -> str:
        return self.to_svg()


def form_of(path: Path) -> str:
    """Return the form of drawing that the name of `path` asks for: .svg, .png or .dot; raises OutputError."""
    form = path.suffix.lower()
    if form not in (".svg", ".png", ".dot"):
        raise OutputError(f"{path}: expected a name ending in .svg, .png or .dot, got {path.suffix!r}")
    return form
