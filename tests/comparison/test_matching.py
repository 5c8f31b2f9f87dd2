"""Which layer of one audit is which of the other."""

from __future__ import annotations

from typing import Any

import pytest

from wua_onnx.comparison.matching import match


def layers(*given: str) -> list[dict[str, Any]]:
    """Layers written as `name:kind:shape`, such as `fc:dense:5x3`."""
    parts = [text.split(":") for text in given]
    return [{"name": n, "kind": k, "weight_shape": [int(size) for size in s.split("x")]} for n, k, s in parts]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], [], []),
        (["a:dense:5x3"], [], []),
        (["a:dense:5x3", "b:dense:3x2"], ["b:dense:3x2", "a:dense:5x3"], [(0, 1, "name"), (1, 0, "name")]),
        (["a:dense:5x3"], ["a:dense:5x2"], [(0, 0, "name")]),
        (["a:dense:5x3"], ["a:convolution:5x3x1x1"], []),
        (["a:dense:5x3"], ["z:dense:5x3"], [(0, 0, "shape")]),
        (["a:dense:5x3"], ["z:dense:7x11"], []),
        # of three of one shape, one of them known by its name, the others go in order
        (
            ["a:dense:5x5", "b:dense:5x5", "c:dense:5x5"],
            ["x:dense:5x5", "b:dense:5x5", "y:dense:5x5"],
            [(0, 0, "shape"), (1, 1, "name"), (2, 2, "shape")],
        ),
        # a layer that came in between moves nothing
        (["a:dense:5x3", "c:dense:3x2"], ["a:dense:5x3", "b:dense:3x3", "c:dense:3x2"],
         [(0, 0, "name"), (1, 2, "name")]),
        # renamed and narrower, between two of the same name
        (
            ["a:dense:5x7", "b:dense:7x11", "c:dense:11x2"],
            ["a:dense:5x7", "z:dense:7x3", "c:dense:3x2"],
            [(0, 0, "name"), (1, 1, "place"), (2, 2, "name")],
        ),
        # everything renamed and narrower: the ends keep a size
        (
            ["a:dense:5x7", "b:dense:7x11", "c:dense:11x2"],
            ["x:dense:5x3", "y:dense:3x13", "z:dense:13x2"],
            [(0, 0, "place"), (1, 1, "place"), (2, 2, "place")],
        ),
        # as many layers, but of other kinds: nothing says that they are the same
        (["a:dense:5x7", "b:dense:7x11"], ["a:dense:5x7", "z:convolution:7x3x1x1"], [(0, 0, "name")]),
    ],
)  # fmt: skip
def test_match(before: list[str], after: list[str], expected: list[tuple[int, int, str]]) -> None:
    found = match(layers(*before), layers(*after))
    assert [(pair.before, pair.after, pair.by) for pair in found] == expected


def test_ten_thousand_layers_of_one_shape_are_matched_at_once() -> None:
    one = layers(*(f"a{i}:dense:5x5" for i in range(10_007)))
    two = layers(*(f"b{i}:dense:5x5" for i in range(10_009)))
    found = match(one, two)
    assert [(pair.before, pair.after) for pair in found] == [(i, i) for i in range(10_007)]
