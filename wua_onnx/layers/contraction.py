"""A constant operand of a product, whichever operator writes it, as letters of an Einsum.

The letters of the constant that the result has, too, are neurons; the others, which are summed, are inputs.
Canonical weight: (in, out), both in the order that the operator stores them in.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from wua_onnx.layers.layer import Arrangement, Array, Features, Use
from wua_onnx.layers.weights import WeightSource
from wua_onnx.model.node import NodeView

_TERM = re.compile(r"([A-Za-z]*)(\.\.\.)?([A-Za-z]*)")
# Stand for dimensions that have no letter: those under an ellipsis, and leading ones of a MatMul.
_UNNAMED = string.digits + "αβγδεζηθικλμνξοπρστυφχψω"


@dataclass(frozen=True, slots=True)
class Terms:
    """The letters of the operands, by the number of the input, and of the result."""

    operands: Mapping[int, str]
    output: str


def einsum_terms(node: NodeView) -> Terms | str:
    """Return the letters of an Einsum, or why they cannot be told."""
    equation = node.attr("equation", b"")
    text = (equation.decode("utf-8", "replace") if isinstance(equation, bytes) else str(equation)).replace(" ", "")
    left, arrow, right = text.partition("->")
    written = left.split(",")
    if len(written) != len(node.node.inputs):
        return "its equation does not name every operand"
    operands: dict[int, str] = {}
    for index, term in enumerate(written):
        value = node.input(index)
        if value is None or value.shape is None:
            return "the rank of an operand is unknown"
        named = _named(term, len(value.shape))
        if named is None:
            return "its equation does not fit its operands"
        operands[index] = named
    dots = max((letters for term in operands.values() if (letters := _dots(term))), key=len, default="")
    every = "".join(operands.values())
    once = "".join(sorted(letter for letter in set(every) if every.count(letter) == 1 and letter not in _UNNAMED))
    return Terms(operands, right.replace("...", dots) if arrow else dots + once)


def _named(term: str, rank: int) -> str | None:
    match = _TERM.fullmatch(term)
    if match is None:
        return None
    before, dots, after = match.groups()
    covered = rank - len(before) - len(after)
    if covered < 0 or (covered and not dots) or covered > len(_UNNAMED):
        return None
    return f"{before}{_UNNAMED[:covered][::-1]}{after}"


def _dots(term: str) -> str:
    return "".join(letter for letter in term if letter in _UNNAMED)


def matmul_terms(
    ranks: Sequence[int], *, operands: Sequence[int] = (0, 1), transposed: Sequence[bool] = (False, False)
) -> Terms | str:
    """Return the letters of `A · B`, where the last two axes of an operand may be `transposed`."""
    if max(ranks) > len(_UNNAMED) or min(ranks) < 1:
        return f"it multiplies tensors of rank {ranks[0]} and {ranks[1]}"
    leading = [_UNNAMED[: max(rank - 2, 0)][::-1] for rank in ranks]
    first = "k" if ranks[0] == 1 else leading[0] + ("ki" if transposed[0] else "ik")
    second = "k" if ranks[1] == 1 else leading[1] + ("jk" if transposed[1] else "kj")
    output = max(leading, key=len) + ("i" if ranks[0] > 1 else "") + ("j" if ranks[1] > 1 else "")
    return Terms(dict(zip(operands, (first, second), strict=True)), output)


def sum_terms(shapes: Mapping[int, Sequence[object]], which: int, axes: Collection[int], *, keepdims: bool) -> Terms:
    """Return the letters of `Σ A * B`, elementwise products summed over `axes` of their result.

    Args:
        shapes: of the operands, by the number of the input.
        which: the operand that neurons lie in.
        axes: counted from 0.
        keepdims: whether the axes stay, of size 1.
    """
    rank = max(map(len, shapes.values()))
    places, gone = string.ascii_lowercase[:rank], string.ascii_uppercase[:rank]
    operands: dict[int, str] = {}
    for index, shape in shapes.items():
        offset, own = rank - len(shape), shapes[which]
        along = {place + rank - len(own): size for place, size in enumerate(own)}
        broadcast = [index != which and size == 1 != along.get(place, 1) for place, size in enumerate(shape, offset)]
        operands[index] = "".join((gone if alone else places)[offset + i] for i, alone in enumerate(broadcast))
    kept = [gone[i] if i in axes else places[i] for i in range(rank) if keepdims or i not in axes]
    return Terms(operands, "".join(kept))


def constant_use(node: NodeView, which: int, source: WeightSource, terms: Terms, factor: float = 1.0) -> Use | str:
    """Return the use of constant operand `which` of a product, or why its weights cannot be told apart.

    Args:
        node: the operator.
        which: the number of the input that is constant.
        source: where its elements come from.
        terms: the letters of all operands.
        factor: a constant that multiplies the result.
    """
    weight, output = terms.operands[which], terms.output
    if any(len(set(letters)) < len(letters) for letters in (*terms.operands.values(), output)):
        return "its equation takes a diagonal"
    others = {index: letters for index, letters in terms.operands.items() if index != which}
    shared = set("".join(others.values()))
    sizes = dict(zip(weight, source.shape, strict=True))
    neurons = [letter for letter in weight if letter in output and (sizes[letter] != 1 or letter not in shared)]
    inputs = [letter for letter in weight if letter not in neurons]
    if not any(letter in shared and letter not in output for letter in inputs):
        return "a constant scale"  # nothing is summed: of its neurons, or a table of multiples (rotary angles)
    order = [weight.index(letter) for letter in (*inputs, *neurons)]
    several = [math.prod(sizes[letter] for letter in letters) for letters in (inputs, neurons)]
    return Use(
        node=node,
        kind="experts" if any(letter in shared for letter in neurons) else "dense",
        source=source,
        arrangement=Arrangement(source.shape, tuple(order), (several[0], several[1])),
        neuron_axis=1,
        output=node.node.outputs[0],
        output_axes=tuple(output.index(letter) for letter in neurons),
        factor=factor,
        features=_features(node, others, inputs, neurons, sizes) if len(others) == 1 else None,
    )


def _features(
    node: NodeView, others: Mapping[int, str], inputs: list[str], neurons: list[str], sizes: Mapping[str, int]
) -> Features | None:
    """Return what the constant is multiplied with, one number for each of its letters that the other operand has."""
    ((index, letters),) = others.items()
    value = node.input(index)
    if value is None or value.shape is None or len(value.shape) != len(letters):
        return None
    own = [letter for letter in (*inputs, *neurons) if letter in letters and value.shape[letters.index(letter)] != 1]
    spread = partial(_spread, own=own, inputs=inputs, neurons=neurons, sizes=sizes)
    return Features(value=value, axes=tuple(letters.index(letter) for letter in own), spread=spread)


def _spread(features: Array, own: list[str], inputs: list[str], neurons: list[str], sizes: Mapping[str, int]) -> Array:
    """Return one number per feature as (in, out), or (in, 1) where all neurons see the same features."""
    each = features.reshape([sizes[letter] if letter in own else 1 for letter in (*inputs, *neurons)])
    alike = not any(letter in own for letter in neurons)
    whole = [sizes[letter] for letter in inputs] + [1 if alike else sizes[letter] for letter in neurons]
    return np.broadcast_to(each, whole).reshape(math.prod(sizes[letter] for letter in inputs), -1)
