"""Convolutions, MatMul and Einsum against loops on counting numbers."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from wua_onnx.cost import count
from wua_onnx.errors import ShapeError
from wua_onnx.model import load

from .counting import counted, scalars
from .nodes import cost_of, figures, one_node


def convolution(
    x: Any, weight: Any, group: int, strides: Sequence[int], dilations: Sequence[int], bias: bool
) -> tuple[int, ...]:
    """Convolve padded `x` by loops; return the output's shape."""
    space = tuple(
        (size - (k - 1) * d - 1) // s + 1
        for size, k, d, s in zip(x.shape[2:], weight.shape[2:], dilations, strides, strict=True)
    )
    per_group, outputs_per_group = weight.shape[1], weight.shape[0] // group
    for n, o in np.ndindex(x.shape[0], weight.shape[0]):
        first = o // outputs_per_group * per_group
        for position in np.ndindex(space):
            total: Any = 0.0
            for c in range(per_group):
                for k in np.ndindex(weight.shape[2:]):
                    at = tuple(p * s + j * d for p, s, j, d in zip(position, strides, k, dilations, strict=True))
                    total = x[(n, first + c, *at)] * weight[(o, c, *k)] + total
            if bias:
                total = total + 0.5
    return (x.shape[0], weight.shape[0], *space)


CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 7), (5, 3, 2), {}),
    ((1, 6, 11), (4, 3, 3), {"group": 2, "strides": [2], "dilations": [2]}),
    ((2, 3, 7, 5), (5, 3, 2, 3), {"pads": [1, 0, 1, 1], "strides": [2, 1]}),
    ((1, 6, 7, 5), (6, 1, 3, 2), {"group": 6}),
    ((1, 4, 5, 7), (6, 2, 2, 2), {"group": 2, "dilations": [1, 2], "pads": [0, 1, 2, 0]}),
    ((1, 2, 3, 5, 4), (3, 2, 2, 1, 3), {}),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("x", "weight", "attributes"), CONVOLUTIONS)
def test_convolution(x: tuple[int, ...], weight: tuple[int, ...], attributes: dict[str, Any], bias: bool) -> None:
    space = len(x) - 2
    pads = attributes.get("pads", [0] * 2 * space)
    widths = [(0, 0), (0, 0), *zip(pads[:space], pads[space:], strict=True)]
    shapes: list[tuple[int, ...]] = []

    def run() -> None:
        padded = scalars(np.pad(np.ones(x), widths))
        ones = [1] * space
        arguments = attributes.get("strides", ones), attributes.get("dilations", ones)
        shapes.append(convolution(padded, scalars(np.ones(weight)), attributes.get("group", 1), *arguments, bias))

    ticks = counted(run)
    node = cost_of("Conv", x, weight, *([(weight[0],)] if bias else []), **attributes)
    assert list(node.outputs) == shapes
    assert node.cost.macs == ticks["mul"]
    assert node.cost.macs + node.cost.add == ticks["add"]
    assert node.cost.flops == ticks["mul"] + ticks["add"]


@pytest.mark.parametrize(
    ("x", "weight", "attributes"),
    [
        ((2, 3, 5), (3, 4, 2), {"strides": [2]}),
        ((1, 4, 3, 5), (4, 3, 2, 3), {"group": 2, "pads": [1, 0, 0, 1]}),
        ((1, 2, 3, 3), (2, 5, 3, 2), {"strides": [2, 3], "output_padding": [1, 0], "dilations": [2, 1]}),
    ],
)
def test_transposed_convolution(x: tuple[int, ...], weight: tuple[int, ...], attributes: dict[str, Any]) -> None:
    group = attributes.get("group", 1)

    def scatter() -> None:
        data, filters = scalars(np.ones(x)), scalars(np.ones(weight))
        for n, c, o in itertools.product(range(x[0]), range(x[1]), range(weight[1])):
            for position in np.ndindex(x[2:]):
                for k in np.ndindex(weight[2:]):
                    data[(n, c, *position)] * filters[(c, o, *k)]

    node = cost_of("ConvTranspose", x, weight, (weight[1] * group,), **attributes)
    assert node.cost.macs == counted(scatter)["mul"]
    (output,) = node.outputs
    assert output is not None
    assert node.cost.add == np.prod([int(str(dim)) for dim in output])
    assert output[1] == weight[1] * group


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((5,), (5,)),
        ((5,), (2, 5, 3)),
        ((7, 2, 5), (5,)),
        ((7, 1, 2, 5), (3, 5, 11)),
        ((2, 5), (5, 3)),
        ((1, 5), (7, 5, 1)),
    ],
)
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    ticks = counted(lambda: np.matmul(scalars(np.ones(a)), scalars(np.ones(b))))
    assert figures(cost_of("MatMul", a, b)) == Counter(macs=ticks["mul"])


EINSUMS: list[tuple[str, tuple[tuple[int, ...], ...], str]] = [
    ("ij,jk->ik", ((2, 3), (3, 5)), "macs"),
    ("bhqd,bhkd->bhqk", ((2, 3, 5, 7), (2, 3, 4, 7)), "macs"),
    ("i,i->i", ((5,), (5,)), "mul"),
    ("i,j", ((5,), (3,)), "mul"),
    ("ij,ij->", ((2, 3), (2, 3)), "macs"),
    ("...ij,...jk->...ik", ((2, 3, 5), (2, 5, 7)), "macs"),
    ("ij,jk->k", ((2, 3), (3, 5)), "macs"),
    ("b...d,bd", ((2, 3, 5, 7), (2, 7)), "macs"),
    ("bij,bjd->bid", ((2, 3, 1), (2, 1, 5)), "macs"),  # attention to one key: summed, though over one product
]


@pytest.mark.parametrize(("equation", "shapes", "kind"), EINSUMS)
def test_einsum_of_two(equation: str, shapes: tuple[tuple[int, ...], ...], kind: str) -> None:
    """Multiply-accumulates where something is summed, plain products elsewhere."""
    ticks = counted(lambda: np.einsum(equation, *(scalars(np.ones(s)) for s in shapes), optimize=False))
    assert figures(cost_of("Einsum", *shapes, equation=equation)) == Counter({kind: ticks["mul"]})


def test_einsum_of_three_from_the_left() -> None:
    """ij,jk,kl->il: first i·j·k, then i·k·l; never i·j·k·l."""
    a, b, c = (scalars(np.ones(shape)) for shape in ((2, 3), (3, 5), (5, 7)))
    ticks = counted(lambda: a @ b @ c)
    assert figures(cost_of("Einsum", (2, 3), (3, 5), (5, 7), equation="ij,jk,kl->il")) == Counter(macs=ticks["mul"])


@pytest.mark.parametrize(
    ("equation", "shape", "adds"),
    [
        ("ij->i", (3, 5), 12),
        ("ii->i", (5, 5), 0),
        ("ii->", (5, 5), 4),
        ("ij->ji", (3, 5), 0),
        ("...j->...", (2, 3, 5), 24),
    ],
)
def test_einsum_of_one(equation: str, shape: tuple[int, ...], adds: int) -> None:
    assert figures(cost_of("Einsum", shape, equation=equation)) == +Counter(add=adds)


def test_filters_and_grids_of_free_sizes_are_counted_by_what_is_known() -> None:
    """Channels by the weight, the window by the attribute, the axes of a grid by the image."""
    sizes = {"n": 2, "c": 6, "h": 5, "k": 3}
    free = count(load(one_node("Conv", ("n", "c", "h", 7), (4, 3, "k", "k"), group=2, kernel_shape=[3, 3])))
    bound = count(load(one_node("Conv", (2, 6, 5, 7), (4, 3, 3, 3), group=2, kernel_shape=[3, 3])))
    assert free.is_exact
    assert free.at({name: sizes[name] for name in free.symbols}).macs == bound.macs
    grid = cost_of("GridSample", (2, 3, 5, 7), (2, 4, 6, "axes"), mode="linear", opset=22)
    assert grid.cost.mul == cost_of("GridSample", (2, 3, 5, 7), (2, 4, 6, 2), mode="linear", opset=22).cost.mul != 0
    with pytest.raises(ShapeError, match=r"coordinates of the grid: expected 2, got 3"):
        cost_of("GridSample", (2, 3, 5, 7), (2, 4, 6, 3), opset=22)
    with pytest.raises(ShapeError, match=r"kernel_shape: expected \(3, 3\), got \(3, 5\)"):
        cost_of("Conv", (2, 6, 7, 7), (4, 3, 3, 5), group=2, kernel_shape=[3, 3])
