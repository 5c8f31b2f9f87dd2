"""Which columns of a table fit in a console, and how wide each becomes: figures and titles are never broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from wua_onnx.report.columns import Column

_NAME = 32  # columns of the console for names, which are folded there before figures are left out
_FOLDED = 12  # down to which texts and names are folded before columns that belong to every table are left out
_EXPRESSION = 20  # beyond which a figure is an expression, and folded


@dataclass(slots=True)
class _Sized:
    """A column: how wide it is, the least that it can be, and all that it could use."""

    column: Column
    width: int
    least: int
    most: int


def fitted(shown: Sequence[Column], rows: Sequence[Any], room: int, gap: int) -> tuple[dict[Column, int], list[Column]]:
    """Return the width of each column that fits beside the others, and those of every table that are left out.

    First the columns go that are only for wide consoles, from the last; then texts are folded; then columns go by
    `spare`. The first column and one more stay at any width.

    Args:
        shown: the columns.
        rows: of the table.
        room: columns of the console.
        gap: columns between two of the table.
    """
    sizes = [_sized(column, rows, first=position == 0) for position, column in enumerate(shown)]
    while (wide := [size for size in sizes if not size.column.narrow]) and _total(sizes, gap) > room:
        sizes.remove(wide[-1])
    without = []
    while len(sizes) > 2 and sum(size.least + gap for size in sizes) - gap > room:
        worst = max(range(1, len(sizes)), key=lambda place: (sizes[place].column.spare, place))
        without.append(sizes.pop(worst).column)
    _folded(sizes, room, gap)
    sizes[0].width = min(sizes[0].most, sizes[0].width + max(room - _total(sizes, gap), 0))
    return {size.column: size.width for size in sizes}, [column for column in shown if column in without]


def _sized(column: Column, rows: Sequence[Any], *, first: bool) -> _Sized:
    most = max([cell_len(column.title), *(cell_len(column.cell(row).text) for row in rows)])
    width = min(most, _NAME) if first else most
    words = max(map(cell_len, column.title.split(" ")))
    foldable = _EXPRESSION if column.right else _FOLDED
    return _Sized(column=column, width=width, least=max(words, min(width, foldable)), most=most)


def _total(sizes: Sequence[_Sized], gap: int) -> int:
    return sum(size.width + gap for size in sizes) - gap


def _folded(sizes: Sequence[_Sized], room: int, gap: int) -> None:
    """Make the widest of the columns that can be folded narrower until all fit, or none can be."""
    while _total(sizes, gap) > room:
        able = [size for size in sizes if size.width > size.least] or [size for size in sizes if size.width > 1]
        if not able:
            return
        max(able, key=lambda size: size.width).width -= 1
