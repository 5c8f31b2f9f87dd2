"""Pictures of importances against loops over every weight, whole and in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wua_onnx.importance.heat_map import CELLS, FILTERS, SPAN, Heat, HeatMap

Array = np.ndarray[Any, Any]
_RNG = np.random.default_rng(3)


def drawn(scores: Array, *, convolution: bool = False) -> HeatMap | None:
    heat = Heat(scores.shape, convolution=convolution)
    heat.add(scores)
    return heat.drawn(scores.reshape(scores.shape[0], -1).sum(axis=1), scores)


def digit(share: float) -> str:
    """The level of a share of the mean."""
    return "0123456789abcdef"[min(round(15 * share / SPAN), 15)]


def in_loops(matrix: Array, rows: int, columns: int) -> list[str]:
    """Each weight goes into the block that its place says, one by one."""
    blocks: dict[tuple[int, int], list[float]] = {}
    counts = zip(matrix.shape, (rows, columns), strict=True)
    bounds = [[i * size // count for i in range(count + 1)] for size, count in counts]
    for (i, j), value in np.ndenumerate(matrix):
        row, column = (
            next(b for b in range(len(edges) - 1) if edges[b] <= at < edges[b + 1])
            for at, edges in zip((i, j), bounds, strict=True)
        )
        blocks.setdefault((row, column), []).append(float(value))
    mean = float(matrix.mean())
    return [
        "".join(digit(float(np.mean(blocks[row, column])) / mean) for column in range(columns)) for row in range(rows)
    ]


@pytest.mark.parametrize(("shape", "rows", "columns"), [((7, 5), 7, 5), ((97, 41), 32, 32), ((3, 211), 3, 32)])
def test_matrices_are_means_of_blocks(shape: tuple[int, int], rows: int, columns: int) -> None:
    scores = _RNG.random(shape) ** 3
    found = drawn(scores)
    assert found is not None
    assert list(found.levels) == in_loops(scores, rows, columns)
    assert (found.shape, found.kernel) == (shape, None)


def test_convolutions_are_means_over_kernels_and_show_the_strongest() -> None:
    scores = _RNG.random((19, 7, 3, 5)).astype(np.float32) ** 2
    found = drawn(scores, convolution=True)
    assert found is not None
    assert list(found.levels) == in_loops(scores.mean(axis=(2, 3)), 19, 7)
    sums = [float(kernel.sum()) for kernel in scores]
    strongest = sorted(range(19), key=lambda index: -sums[index])[:FILTERS]
    assert (found.kernel, list(found.filters)) == ((3, 5), strongest)
    first = scores[strongest[0]].mean(axis=0) / scores.mean()
    assert found.kernels[0] == "".join(digit(float(value)) for value in first.reshape(-1))


@pytest.mark.parametrize(("kernel", "shown"), [((7,), (1, 7)), ((2, 3, 5), (3, 5))])
def test_kernels_of_one_and_three_dimensions_are_flat(kernel: tuple[int, ...], shown: tuple[int, int]) -> None:
    found = drawn(_RNG.random((11, 3, *kernel)), convolution=True)
    assert found is not None
    assert found.kernel == shown
    assert {len(text) for text in found.kernels} == {shown[0] * shown[1]}


@pytest.mark.parametrize("kernel", [(1, 1), (17, 17)])
def test_kernels_of_one_element_and_large_ones_are_not_shown(kernel: tuple[int, int]) -> None:
    found = drawn(_RNG.random((5, 3, *kernel)), convolution=True)
    assert found is not None
    assert (found.kernel, found.kernels) == (None, ())


@pytest.mark.parametrize(("gates", "rows"), [(3, 30), (4, 32), (37, CELLS)])
def test_no_block_is_of_two_gates(gates: int, rows: int) -> None:
    scores = np.zeros((gates, 53, 11))
    scores[0] = 1.0
    found = drawn(scores)
    assert found is not None
    assert len(found.levels) == rows
    if gates < CELLS:
        assert set("".join(found.levels[: rows // gates])) == {"f"}
        assert set("".join(found.levels[rows // gates :])) == {"0"}


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
@pytest.mark.parametrize(("shape", "convolution"), [((61, 43), False), ((3, 17, 41), False), ((37, 41, 3, 2), True)])
def test_pieces_give_what_the_whole_gives(shape: tuple[int, ...], convolution: bool, axis: int) -> None:
    if axis >= len(shape):
        axis = 0
    scores = _RNG.integers(0, 64, shape).astype(np.float64)  # so that no sum depends on its order
    heat = Heat(shape, convolution=convolution)
    for start in range(0, shape[axis], 5):
        piece = np.take(scores, range(start, min(start + 5, shape[axis])), axis=axis)
        heat.add(piece, axis, start)
        heat.add_kernels(piece, axis, start)
    neurons = scores.reshape(shape[0], -1).sum(axis=1)
    found, whole = heat.drawn(neurons), drawn(scores, convolution=convolution)
    assert found == whole is not None


@pytest.mark.parametrize("scores", [np.zeros((3, 5)), np.full((3, 5), np.nan), np.full((3, 5), np.inf), np.ones(7)])
def test_nothing_is_drawn_of_nothing(scores: Array) -> None:
    assert drawn(scores) is None


def test_json_has_a_digit_for_each_block() -> None:
    found = drawn(_RNG.random((5, 3, 2, 2)), convolution=True)
    assert found is not None
    told = found.to_dict()
    assert [len(row) for row in told["levels"]] == [3] * 5
    assert [len(kernel) for kernel in told["kernels"]["levels"]] == [4] * 5
