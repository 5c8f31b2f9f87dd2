"""Where the importance of a layer lies: its heat map and the kernels of its strongest filters, as small PNGs.

A picture has one colour and is more or less transparent, so that it is read on light and on dark pages. A layer whose
blocks differ no more than random weights would gets none.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wua_onnx.report import numbers as n
from wua_onnx.report.rows import first_criterion
from wua_onnx.report.small_table import Table

Json = Mapping[str, Any]

BUDGET = 90_000  # characters of pictures in a page
_COLOUR = (0x3F, 0x78, 0xDD)  # as far from white as from the ground of a dark page
_GAP, _FAINTEST = 16, 16  # a level without colour; opacity of the lowest level, of 255
_WIDEST, _HIGHEST, _LARGEST = 288, 192, 14  # pixels of a picture and of one of its cells
_ACROSS = 8  # kernels in a row
_PARTS = 4  # rows and columns of the table behind a heat map
_RANDOM = 0.571  # variance of |w| over its squared mean, for Gaussian weights
_ROUNDING = (3 / 15) ** 2 / 12  # the same of whole levels
_TOLD = 2.0  # times the variance of random weights: from here on there is something to see
_FEW = 4  # weights behind a cell up to which it is shown whatever it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A PNG as a data URI, its size in pixels, what it shows in words, and the table behind it."""

    title: str
    src: str
    width: int
    height: int
    alt: str
    note: str
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """The pictures of a layer, and why there is none where there is none."""

    shown: tuple[Picture, ...] = ()
    note: str = ""


def pictures_of(layers: Sequence[Json]) -> Iterator[Pictures]:
    """Yield the pictures of each layer, until `BUDGET` is spent."""
    left = BUDGET
    for layer in layers:
        found = layer_pictures(layer)
        left -= sum(len(picture.src) for picture in found.shown)
        yield found if left >= 0 else Pictures(note="The picture of its weights is in the JSON.")


def layer_pictures(layer: Json) -> Pictures:
    """Return the pictures of one layer by the first criterion."""
    heat = first_criterion(layer).get("heat_map")
    if not heat:
        return Pictures()
    kernels = heat.get("kernels")
    shown = [_blocks(layer, heat)] if _differ(layer, heat) else []
    shown += [_kernels(heat)] if kernels and _kernels_differ(heat, kernels) else []
    return Pictures(shown=tuple(shown), note="" if shown else _even(layer, heat))


def _even(layer: Json, heat: Json) -> str:
    """Return why there is no picture."""
    rows, columns = _block(heat)
    what = f"Blocks of {rows} × {columns} {_unit(layer)}s"
    return f"{what} differ no more than random weights do: there is no picture of them."


def _unit(layer: Json) -> str:
    """Return what a heat map is of: weights, or whole kernels."""
    return "kernel" if layer["kind"] == "convolution" and math.prod(layer["weight_shape"][2:]) > 1 else "weight"


def _block(heat: Json) -> tuple[int, int]:
    """Return the weights under a cell, along rows and columns, rounded."""
    rows, columns = heat["shape"]
    return max(round(rows / len(heat["levels"])), 1), max(round(columns / len(heat["levels"][0])), 1)


def _differ(layer: Json, heat: Json) -> bool:
    """Return whether cells, rows or columns of a heat map differ more than means of random weights do."""
    cells = [[int(digit, 16) for digit in line] for line in heat["levels"]]
    if min(len(cells), len(cells[0])) < 2:
        return False
    under = math.prod(layer["weight_shape"]) / (len(cells) * len(cells[0]))
    if under <= _FEW:
        return True
    sides: list[tuple[list[float], int]] = [
        ([level for line in cells for level in line], 1),
        ([_mean(line) for line in cells], len(cells[0])),
        ([_mean(line) for line in zip(*cells, strict=True)], len(cells)),
    ]
    return any(_spread(values) > _TOLD * (_RANDOM / under + _ROUNDING) / count for values, count in sides)


def _kernels_differ(heat: Json, kernels: Json) -> bool:
    """Return whether elements of kernels differ more than means over as many random weights do."""
    under: int = heat["shape"][1]
    if under <= _FEW:
        return True
    whole = [_spread([int(digit, 16) for digit in kernel]) for kernel in kernels["levels"]]
    return _mean(whole) > _TOLD * (_RANDOM / under + _ROUNDING)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _spread(values: Sequence[float]) -> float:
    """Return the variance over the squared mean."""
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / len(values) / mean**2 if mean else 0.0


def _blocks(layer: Json, heat: Json) -> Picture:
    cells = [[int(digit, 16) for digit in line] for line in heat["levels"]]
    wide, high = (min(most // count, _LARGEST) for most, count in ((_WIDEST, len(cells[0])), (_HIGHEST, len(cells))))
    (down, across), (rows, columns) = _axes(layer), heat["shape"]
    block, unit = _block(heat), _unit(layer)
    cell = f"a {unit}" if block == (1, 1) else f"the mean of {block[0]} × {block[1]} {unit}s"
    shape = f"{n.count(rows)} {down} down, {n.count(columns)} {across} across"
    return Picture(
        title="Where the importance lies",
        src=_png(cells),
        width=wide * len(cells[0]),
        height=high * len(cells),
        alt=f"Heat map of importance, {shape}; the table behind it has the numbers",
        note=f"{shape}; a cell is {cell}. {_full(heat)}",
        table=_table(cells, heat, down, across),
    )


def _full(heat: Json) -> str:
    return f"Full colour is {heat['span']:g} × the layer's mean or more."


def _axes(layer: Json) -> tuple[str, str]:
    """Return what lies along the rows and along the columns."""
    if layer["kind"] == "convolution":
        return "channels", "input channels"
    if layer["kind"] == "recurrent":
        return "hidden units, gate by gate,", "inputs"
    if layer["kind"] == "embedding":
        return "entries", "features"
    return ("inputs", "neurons") if layer["neuron_axis"] else ("neurons", "inputs")


def _table(cells: Sequence[Sequence[int]], heat: Json, down: str, across: str) -> Table:
    """Return a heat map in `_PARTS` rows and columns."""
    rows, columns = _cuts(len(cells)), _cuts(len(cells[0]))
    heads = [f"{across.rstrip(',')} {_places(part, len(cells[0]), heat['shape'][1])}" for part in columns]
    lines = []
    for part in rows:
        means = [_mean([level for line in cells[part] for level in line[other]]) for other in columns]
        texts = (f"{level / 15 * heat['span']:.2f} ×" for level in means)
        lines.append((_places(part, len(cells), heat["shape"][0]), *texts))
    return Table(title="Importance / mean", heads=(down.rstrip(","), *heads), rows=tuple(lines))


def _cuts(count: int) -> list[slice]:
    parts = min(count, _PARTS)
    return [slice(i * count // parts, (i + 1) * count // parts) for i in range(parts)]


def _places(part: slice, cells: int, size: int) -> str:
    first, last = part.start * size // cells, part.stop * size // cells - 1
    return f"{first}" if first == last else f"{first}–{last}"


def _kernels(heat: Json) -> Picture:
    kernels = heat["kernels"]
    high, wide = kernels["shape"]
    levels = [[int(digit, 16) for digit in kernel] for kernel in kernels["levels"]]
    mosaic = _mosaic(levels, high, wide)
    pixel = max(min(_WIDEST // len(mosaic[0]), _HIGHEST // len(mosaic), 10), 1)
    source = heat["shape"][1]
    over = f", the mean over {n.count(source)} input channels" if source > 1 else ""
    rows = []
    for channel, kernel in zip(kernels["filters"], levels, strict=True):
        place = max(range(len(kernel)), key=kernel.__getitem__)
        strength = f"{max(kernel) / 15 * heat['span']:.1f} ×"
        rows.append((n.count(channel), f"{place // wide + 1}, {place % wide + 1}", strength))
    return Picture(
        title="Its strongest filters",
        src=_png(mosaic),
        width=pixel * len(mosaic[0]),
        height=pixel * len(mosaic),
        alt=f"The kernels of the {len(rows)} strongest filters; the table behind it has the largest of each",
        note=f"{len(rows)} kernels of {high} × {wide}{over}, the strongest first. {_full(heat)}",
        table=Table(
            title="Strongest filters",
            heads=("Channel", "Strongest at row, column", "Importance / mean"),
            rows=tuple(rows),
        ),
    )


def _mosaic(kernels: Sequence[Sequence[int]], high: int, wide: int) -> list[list[int]]:
    """Return kernels side by side with gaps between them."""
    across = min(_ACROSS, len(kernels))
    lines: list[list[int]] = []
    for start in range(0, len(kernels), across):
        row = kernels[start : start + across]
        lines += [[_GAP] * (across * (wide + 1) - 1)] if lines else []
        for at in range(0, high * wide, wide):
            line = [level for kernel in row for level in (*kernel[at : at + wide], _GAP)][:-1]
            lines.append(line + [_GAP] * (across * (wide + 1) - 1 - len(line)))
    return lines


def _png(levels: Sequence[Sequence[int]]) -> str:
    """Return levels as a PNG of one colour, the lowest nearly and the gap wholly transparent."""
    opacity = [_FAINTEST + (255 - _FAINTEST) * level // 15 for level in range(16)]
    pixels = b"".join(b"\0" + bytes(line) for line in levels)
    header = struct.pack(">IIBBBBB", len(levels[0]), len(levels), 8, 3, 0, 0, 0)
    parts = (
        (b"IHDR", header),
        (b"PLTE", bytes(_COLOUR) * 17),
        (b"tRNS", bytes([*opacity, 0])),
        (b"IDAT", zlib.compress(pixels, 9)),
        (b"IEND", b""),
    )
    data = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
