"""What is said of an array of another shape makes it fit, where it is carried out."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from wua_onnx.running.hints import fits, hint

Shape = tuple[int, ...]

# The shape given, the dimensions wanted (None for a free one), the samples' axis, and what the hint says.
TOLD: dict[str, tuple[Shape, tuple[int | None, ...], int | None, str]] = {
    "channels last": ((7, 5, 11, 3), (None, 3, 5, 11), 0, ".transpose(0, 3, 1, 2)"),
    "channels first": ((7, 3, 5, 11), (None, 5, 11, 3), 0, ".transpose(0, 2, 3, 1)"),
    "channels last, free sizes": ((7, 5, 11, 3), (None, 3, None, None), 0, ".transpose(0, 3, 1, 2)"),
    "samples last": ((11, 7), (None, 11), 0, ".transpose(1, 0)"),
    "one image": ((3, 5, 11), (None, 3, 5, 11), 0, "[None]"),
    "one row": ((11,), (None, 11), 0, "[None]"),
    "one sample, whose axis is the second": ((5, 11), (5, None, 11), 1, "[:, None]"),
    "no channel": ((7, 5, 11), (None, 1, 5, 11), 0, "[:, None]"),
    "no channel at the end": ((7, 5, 11), (None, 5, 11, 1), 0, "[:, :, :, None]"),
    "flat": ((7, 165), (None, 3, 5, 11), 0, ".reshape(-1, 3, 5, 11)"),
    "images for a dense layer": ((7, 3, 5, 11), (None, 165), 0, ".reshape(-1, 165)"),
}
NOT_TOLD: dict[str, tuple[Shape, tuple[int | None, ...], int | None]] = {
    "another size": ((7, 13), (None, 11), 0),
    "a number": ((), (None, 11, 13), 0),
    "another image": ((7, 3, 5, 13), (None, 3, 5, 11), 0),
    "two axes fewer": ((5, 11), (None, 3, 5, 11), 0),
    "free sizes that no reshaping can know": ((7, 165), (None, 3, None, 11), 0),
    "an input without samples": ((7, 13), (11,), None),
}


def carried_out(way: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    sizes = [int(size) for size in re.findall(r"-?\d+", way)]
    if way.startswith("."):
        return array.transpose(sizes) if way.startswith(".transpose") else array.reshape(sizes)
    return array[(*[slice(None)] * way.count(":"), None)]


@pytest.mark.parametrize("case", TOLD)
def test_the_hint_makes_it_fit(case: str) -> None:
    shape, dims, axis, way = TOLD[case]
    assert not fits(shape, dims, axis)
    assert way in hint(shape, dims, axis)
    assert fits(carried_out(way, np.zeros(shape)).shape, dims, axis)


@pytest.mark.parametrize("case", NOT_TOLD)
def test_nothing_is_said_where_no_way_is_likely(case: str) -> None:
    assert hint(*NOT_TOLD[case]) == ""


def test_a_column_more_may_be_the_labels() -> None:
    assert hint((7, 12), (None, 11), 0) == ": if one column holds the labels, give them as y"
