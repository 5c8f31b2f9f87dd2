"""A treemap of modules inside modules: areas in proportion, as near to squares as they get.

Source: Bruls, Huizing, van Wijk, "Squarified Treemaps", VisSym 2000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from wua_onnx._text import visible
from wua_onnx.report import numbers as n
from wua_onnx.report.charts_svg import NARROW, WIDE, fitted, svg, text_width, words
from wua_onnx.report.charts_tree import Branch

_HEIGHT = {WIDE: 400, NARROW: 420}
_LEAST, _LEAST_OF_MANY = 900.0, 200.0  # square pixels of a box; smaller ones are drawn together
_HEAD, _GAP = 17, 2
_OPENED = (64, 52)  # pixels of a box that shows what is inside it
_DEPTH = 3
_HUES = 5
_MOST, _LITTLE = 0.6, 0.002  # shares: of the whole, and of a module

Rectangle = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """What becomes a box: a module, what a module holds beside the modules in it, or small ones together."""

    label: str
    path: str
    size: float
    branch: Branch | None = None


def squarified(sizes: Sequence[float], place: Rectangle) -> list[Rectangle]:
    """Return a rectangle for each of `sizes` (positive, the largest first) that together fill `place`."""
    x, y, width, height = place
    scale = width * height / sum(sizes)
    result: list[Rectangle] = []
    start = 0
    while start < len(sizes):
        side = min(width, height)
        stop = start + 1
        while stop < len(sizes) and _worst(sizes[start : stop + 1], side, scale) <= _worst(
            sizes[start:stop], side, scale
        ):
            stop += 1
        row = sizes[start:stop]
        thick = sum(row) * scale / side if side else 0.0
        along = y if width >= height else x
        for size in row:
            length = size * scale / thick if thick else 0.0
            result.append((x, along, thick, length) if width >= height else (along, y, length, thick))
            along += length
        x, y, width, height = (
            (x + thick, y, width - thick, height) if width >= height else (x, y + thick, width, height - thick)
        )
        start = stop
    return result


def _worst(row: Sequence[float], side: float, scale: float) -> float:
    """Return the largest ratio of the sides of the rectangles of a row."""
    area = sum(row) * scale
    most, least = max(row) * scale, min(row) * scale
    return max(side * side * most / (area * area), area * area / (side * side * least)) if side and least else 0.0


def treemap(
    roots: Sequence[Branch], sizes: Sequence[float], name: str, text: Callable[[float], str], width: int
) -> Markup:
    """Return the drawing.

    Args:
        roots: the outermost modules; at least one has a size.
        sizes: of the modules, by their index.
        name: what the drawing is called.
        text: writes a size.
        width: of the drawing, `WIDE` or `NARROW`.
    """
    height = _HEIGHT[width]
    place = (0.0, 0.0, float(width), float(height))
    draw = _Drawing(sizes, sum(sizes[root.index] for root in roots), text, titles=width == WIDE)
    return svg(
        width,
        height,
        f"{name}; the table behind it has the numbers",
        "".join(draw.boxes(draw.items(roots), place)),
        "treemap",
    )


@dataclass(frozen=True, slots=True)
class _Drawing:
    sizes: Sequence[float]
    whole: float
    text: Callable[[float], str]
    titles: bool

    def boxes(self, items: Sequence[_Item], place: Rectangle, depth: int = 0, hue: int | None = None) -> Iterator[str]:
        """Yield the boxes of `items` in `place`; without a `hue`, each gets one of its own."""
        shown = _merged(items, place[2] * place[3])
        hues = {id(item): position % _HUES if hue is None else hue for position, item in enumerate(shown)}
        shown.sort(key=lambda item: -item.size)
        for item, part in zip(shown, squarified([item.size for item in shown], place), strict=True):
            yield from self._box(item, part, depth, hues[id(item)])

    def items(self, branches: Sequence[Branch], rest: float = 0.0) -> list[_Item]:
        """Return what becomes the boxes of `branches`, and of the `rest` that the module around them has itself."""
        found = [
            _Item(label=branch.name, path=branch.row["path"], size=self.sizes[branch.index], branch=branch)
            for branch in branches
            if self.sizes[branch.index] > 0
        ]
        return [*found, _Item(label="(itself)", path="outside the modules in it", size=rest)] if rest > 0 else found

    def _box(self, item: _Item, place: Rectangle, depth: int, hue: int) -> Iterator[str]:
        x, y, width, height = place[0] + 1, place[1] + 1, max(place[2] - 2, 0.5), max(place[3] - 2, 0.5)
        inside = self._inside(item) if depth < _DEPTH and width >= _OPENED[0] and height >= _OPENED[1] else []
        share = n.percent(item.size / self.whole)
        what = escape(f"{visible(item.path)}: {self.text(item.size)}, {share}")
        title = f"<title>{what}</title>" if self.titles else ""
        css = f"around h{hue}" if inside else f"h{hue}"
        yield f'<g>{title}<path class="{css}" d="M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z"/>'
        yield from _labels(item.label, share, (x, y, width, height), opened=bool(inside))
        yield "</g>"
        if inside:
            inner = (x + _GAP, y + _HEAD, width - 2 * _GAP, height - _HEAD - _GAP)
            most = item.size > _MOST * self.whole  # what is nearly everything does not use up a level, nor a hue
            yield from self.boxes(inside, inner, depth + (not most), None if most else hue)

    def _inside(self, item: _Item) -> list[_Item]:
        children = item.branch.children if item.branch else []
        held = sum(self.sizes[child.index] for child in children)
        rest = item.size - held
        return self.items(children, rest if rest > _LITTLE * item.size else 0.0) if held > 0 else []


def _labels(label: str, share: str, place: Rectangle, *, opened: bool) -> Iterator[str]:
    """Yield the name and the share, where there is room: on one line above what is inside, else on two."""
    x, y, width, height = place
    name = fitted(label, width - 8)
    if not name or height < _HEAD:
        return
    line = f"{name} {share}"
    yield words(x + 4, y + 13, line if opened and text_width(line) <= width - 8 else name)
    if not opened and height >= 2 * _HEAD and text_width(share) <= width - 8:
        yield words(x + 4, y + 28, share)


def _merged(items: Sequence[_Item], area: float) -> list[_Item]:
    """Return `items` with those whose boxes would be too small drawn as one."""
    whole = sum(item.size for item in items)
    small = [item for item in items if item.size * area / whole < _LEAST]
    if sum(item.size for item in small) > whole / 2:  # most is small: better unnamed boxes than a single one
        small = [item for item in small if item.size * area / whole < _LEAST_OF_MANY]
    if len(small) < 2:
        return list(items)
    other = _Item(label=f"+{len(small):,}", path=f"{len(small):,} smaller ones", size=sum(i.size for i in small))
    kept = {id(item) for item in small}
    return [*(item for item in items if id(item) not in kept), other]
