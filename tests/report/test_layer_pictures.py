"""Heat maps and kernels as pictures: what is in the PNG, when there is one, and how many a page has."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np
import pytest

from wua_onnx.importance.heat_map import Heat
from wua_onnx.report.layer_pictures import BUDGET, layer_pictures, pictures_of

Array = np.ndarray[Any, Any]
_RNG = np.random.default_rng(11)


def layer(scores: Array, kind: str = "dense") -> dict[str, Any]:
    """The JSON of a layer of these importances."""
    heat = Heat(scores.shape, convolution=kind == "convolution")
    heat.add(scores)
    found = heat.drawn(scores.reshape(scores.shape[0], -1).sum(axis=1), scores)
    criteria = {"magnitude": {"heat_map": None if found is None else found.to_dict()}}
    return {"kind": kind, "weight_shape": list(scores.shape), "neuron_axis": 1, "criteria": criteria}


def pixels(src: str) -> list[list[int]]:
    """The opacity of every pixel of a PNG of palette colours, unfiltered."""
    data = base64.b64decode(src.removeprefix("data:image/png;base64,"), validate=True)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        [length] = struct.unpack(">I", data[at : at + 4])
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length]) == (zlib.crc32(kind + content),)
        chunks[kind], at = content, at + 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    raw = zlib.decompress(chunks[b"IDAT"])
    lines = [raw[row * (width + 1) : (row + 1) * (width + 1)] for row in range(height)]
    assert {line[0] for line in lines} == {0}
    return [[chunks[b"tRNS"][index] for index in line[1:]] for line in lines]


def test_a_pixel_is_a_cell_and_more_is_more_opaque() -> None:
    scores = np.ones((7, 5))
    scores[3, 2] = 10.0
    scores[6] = 0.0
    [picture] = layer_pictures(layer(scores)).shown
    drawn = pixels(picture.src)
    assert (len(drawn), len(drawn[0])) == (7, 5)
    assert drawn[3][2] == max(max(line) for line in drawn) == 255
    assert set(drawn[6]) == {min(min(line) for line in drawn)}
    assert 0 < drawn[6][0] < drawn[0][0] < 255
    assert "7 inputs down, 5 neurons across; a cell is a weight." in picture.note
    assert picture.table.rows[-1][0] == "5–6"
    assert [row[0] for row in picture.table.rows] == ["0", "1–2", "3–4", "5–6"]


@pytest.mark.parametrize(("size", "block"), [(103, "3 × 3"), (331, "10 × 10")])
def test_random_weights_get_a_sentence_in_place_of_a_picture(size: int, block: str) -> None:
    found = layer_pictures(layer(np.abs(_RNG.standard_normal((size, size)))))
    assert found.shown == ()
    assert found.note.startswith(f"Blocks of {block} weights differ no more than random weights do")


@pytest.mark.parametrize("axis", [0, 1])
def test_faint_rows_and_columns_are_seen_through_noise(axis: int) -> None:
    scores = np.abs(_RNG.standard_normal((211, 211)))
    scores[(slice(None),) * axis + (slice(0, 40),)] *= 1.3
    assert len(layer_pictures(layer(scores)).shown) == 1


def test_kernels_stand_side_by_side_with_gaps() -> None:
    scores = np.ones((11, 3, 2, 3))
    scores[5, :, 1, 2] = 7.0
    [picture] = layer_pictures(layer(scores, "convolution")).shown[-1:]
    drawn = pixels(picture.src)
    assert (len(drawn), len(drawn[0])) == (2 + 1 + 2, 8 * 4 - 1)
    assert [line[3] for line in drawn] == [0] * 5
    assert drawn[1][2] == 255
    assert picture.table.rows[0][:2] == ("5", "2, 3")
    assert drawn[4][-1] == 0, "11 kernels leave places free in the second row"


def test_cells_of_a_convolution_are_kernels() -> None:
    scores = np.ones((7, 5, 3, 3))
    scores[2] = 9.0
    [heat_map] = layer_pictures(layer(scores, "convolution")).shown
    assert "7 channels down, 5 input channels across; a cell is a kernel." in heat_map.note
    [heat_map] = layer_pictures(layer(scores[:, :, :1, :1], "convolution")).shown
    assert "a cell is a weight." in heat_map.note


def test_kernels_of_many_random_weights_are_not_shown() -> None:
    scores = np.abs(_RNG.standard_normal((64, 101, 3, 3)))
    assert layer_pictures(layer(scores, "convolution")).shown == ()


def test_nothing_to_see_is_nothing_said() -> None:
    found = layer_pictures(layer(np.zeros((3, 5))))
    assert (found.shown, found.note) == ((), "")
    assert layer_pictures({"criteria": {}}).shown == ()


def test_a_page_has_room_for_so_many() -> None:
    one = layer(_RNG.random((97, 97)) ** 5)
    found = list(pictures_of([one] * 400))
    sizes = [sum(len(picture.src) for picture in each.shown) for each in found]
    assert 0 < sum(sizes) <= BUDGET
    assert sizes[0] > 0
    assert found[-1].note == "The picture of its weights is in the JSON."
