"""Einsum: operands contracted pairwise from the left."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules._sizes import minus
from wua_onnx.cost.value import Cost
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, product
from wua_onnx.model.node import NodeView


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The product of what the operands so far gave with the next operand.

    Attributes:
        left, right: their labels.
        work: the number of multiplications, the product of all sizes.
        summed: whether a label is summed with this product.
    """

    left: frozenset[str]
    right: frozenset[str]
    work: Dim
    summed: bool

    @property
    def cost(self) -> Cost:
        """Multiply-accumulates where a label is summed, else multiplications."""
        return Cost(macs=self.work) if self.summed else Cost(mul=self.work)


_TERM = re.compile(r"([A-Za-z]*)(\.\.\.)?([A-Za-z]*)")


def _labels(node: NodeView, term: str, rank: int) -> list[str]:
    """Return one label a dimension; those under the ellipsis are `.0`, `.1` …, counted from the last."""
    match = _TERM.fullmatch(term)
    before, dots, after = match.groups() if match else ("", None, "")
    covered = rank - len(before) - len(after)
    if match is None or covered < 0 or (covered and not dots):
        raise ShapeError(f"{node.where}: equation: expected a label for each of {rank} dimensions, got {term[:80]!r}")
    return [*before, *(f".{covered - 1 - at}" for at in range(covered)), *after]


def _output(terms: list[list[str]], written: str | None) -> set[str]:
    """Return the labels that stay: those written, or those that appear once where nothing is written."""
    if written is not None:
        named = {label for label in written if label.isalpha()}
        return named | {label for term in terms for label in term if label[0] == "." and "..." in written}
    appear = Counter(label for term in terms for label in term)
    return {label for label, times in appear.items() if times == 1 or label[0] == "."}


def _sizes(node: NodeView, terms: list[list[str]]) -> dict[str, Dim]:
    sizes: dict[str, Dim] = {}
    for index, term in enumerate(terms):
        for label, dim in zip(term, node.shape(index), strict=True):
            known = sizes.get(label, 1)
            if known != 1 and dim != 1:
                node.expect(f"size of label {label!r}", known, dim)
            sizes[label] = dim if known == 1 else known
    return sizes


@rule("Einsum")
def einsum(node: NodeView) -> Cost:
    """Pair by pair from the left: macs = product of all sizes of the pair; mul where the pair sums over nothing.

    A label is summed with the last operand it appears in. One operand: add = N − results, a repeated label takes
    the diagonal. https://onnx.ai/onnx/operators/onnx__Einsum.html
    """
    terms, sizes, output = _read(node)
    if len(terms) == 1:
        every = product(sizes[label] for label in dict.fromkeys(terms[0]))
        return Cost(add=minus(every, product(sizes[label] for label in output)))
    return sum((pair.cost for pair in _pairs(terms, sizes, output)), start=Cost())


def pairs_of(node: NodeView) -> list[Pair]:
    """Return the pairwise products of an Einsum; none for one operand."""
    return _pairs(*_read(node))


def _read(node: NodeView) -> tuple[list[list[str]], dict[str, Dim], set[str]]:
    """Return (labels of each operand, size of each label, labels of the output)."""
    equation = node.attr("equation", b"")
    text = (equation.decode() if isinstance(equation, bytes) else equation).replace(" ", "")
    left, arrow, right = text.partition("->")
    written = left.split(",")
    if len(written) != len(node.node.inputs):
        raise ShapeError(f"{node.where}: equation: expected {len(node.node.inputs)} terms, got {text[:80]!r}")
    terms = [_labels(node, term, len(node.shape(index))) for index, term in enumerate(written)]
    return terms, _sizes(node, terms), _output(terms, right if arrow else None)


def _pairs(terms: list[list[str]], sizes: dict[str, Dim], output: set[str]) -> list[Pair]:
    pairs, held = [], frozenset(terms[0])
    for index, term in enumerate(terms[1:], start=1):
        every = held | frozenset(term)
        kept = every & output.union(*terms[index + 1 :])
        work = product(sizes[label] for label in sorted(every))
        pairs.append(Pair(left=held, right=frozenset(term), work=work, summed=kept != every))
        held = kept
    return pairs
