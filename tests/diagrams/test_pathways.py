from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import pytest

from wua_onnx.diagrams import pathways
from wua_onnx.diagrams.pathways import strongest

Ranked = list[tuple[float, tuple[int, ...]]]


def by_trying_all(strengths: list[np.ndarray]) -> Ranked:
    sizes = [len(strengths[0]), *(strength.shape[1] for strength in strengths)]
    ways = product(*map(range, sizes))
    found = [(math.prod(s[way[k], way[k + 1]] for k, s in enumerate(strengths)), way) for way in ways]
    return sorted(found, reverse=True)


@pytest.mark.parametrize("sizes", [(5, 3), (2, 7, 3), (3, 2, 5, 7), (2, 3, 2, 3, 5)])
@pytest.mark.parametrize("at_once", [1, 2**21])
def test_the_strongest_are_those_found_by_trying_all(
    sizes: tuple[int, ...], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pathways, "_AT_ONCE", at_once)
    generator = np.random.default_rng(11)
    strengths = [generator.random(shape) for shape in pairwise(sizes)]
    expected = by_trying_all(strengths)
    whole = math.fsum(value for value, _ in expected)
    found = strongest(strengths, 4)
    assert [way.neurons for way in found] == [way for _, way in expected[:4]]
    assert [way.share for way in found] == pytest.approx([value / whole for value, _ in expected[:4]])


def test_a_pathway_through_a_zero_is_none() -> None:
    assert strongest([np.zeros((2, 3)), np.ones((3, 5))]) == ()
    assert [way.neurons for way in strongest([np.array([[0.0, 0.7]]), np.array([[1.0], [0.3]])])] == [(0, 1, 0)]


def test_strengths_far_from_one_do_not_overflow() -> None:
    [way] = strongest([np.full((1, 1), 1e300)] * 5)
    assert (way.neurons, way.share) == ((0,) * 6, 1.0)
    assert strongest([np.zeros((0, 3))]) == ()
