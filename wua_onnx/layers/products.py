"""Products of two computed tensors, MatMul, Gemm and Einsum alike, as letters of an Einsum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.layers.columns import NONE
from wua_onnx.layers.moves import LIMIT, Unmoved
from wua_onnx.layers.sizes import Sizes
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]
# The numbers of the inputs that are multiplied.
PRODUCTS: dict[tuple[str, str], tuple[int, int]] = {
    ("", "MatMul"): (0, 1),
    ("", "Gemm"): (0, 1),
    ("", "Einsum"): (0, 1),
    ("", "MatMulInteger"): (0, 1),
    ("", "QLinearMatMul"): (0, 3),
    ("com.microsoft", "FusedMatMul"): (0, 1),
    ("com.microsoft", "TransposeMatMul"): (0, 1),
    ("com.microsoft", "QLinearMatMul"): (0, 3),
}
_BATCH = "BCDEFGHIJKLM"  # letters of leading axes; those of matrices are i, k and j


def is_product(node: NodeView, *, constant: bool = False) -> bool:
    """Return whether `node` multiplies two tensors that both depend on the data; with `constant`, at least one."""
    operands = PRODUCTS.get((node.domain, node.op_type))
    if operands is None or (node.op_type == "Einsum" and len(node.node.inputs) != 2):
        return False
    values = [node.input(index) for index in operands]
    computed = [value is not None and value not in node.model.constants for value in values]
    # A constant of rank 2 is the weight of a layer; queries that were computed at export have an axis for heads.
    folded = all(
        known or (value is not None and value.shape is not None and len(value.shape) > 2)
        for known, value in zip(computed, values, strict=True)
    )
    return None not in values and (any(computed) and folded if constant else all(computed))


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """A product, each axis with its letter.

    Attributes:
        node: the operator.
        inputs: the letters of its two operands, by the number of the input.
        output: the letters of its result.
        sizes: the size of each letter.
    """

    node: NodeView
    inputs: Mapping[int, str]
    output: str
    sizes: Mapping[str, int]

    def batch(self, operands: Mapping[int, Array], keys: int | None = None) -> str:
        """Return the letters along which there are several products.

        Those that both operands have; where numbers do not differ along any of these, those along which they do
        (heads and queries may share an axis).

        Args:
            operands: numbers of columns, shape (planes, *shape), by the number of the input.
            keys: the axis of the result along which keys lie; None where there is none.
        """
        shared = set.intersection(*(set(letters) for letters in self.inputs.values()))
        if self.node.op_type != "Einsum":
            shared |= set(_BATCH)
        varying = {
            letter
            for index, array in operands.items()
            for axis, letter in enumerate(self.inputs[index], 1)
            if letter in self.output and _varies(array, axis)
        }
        if not shared & varying:
            shared |= varying - {self.output[keys] if keys is not None else ""}
        return "".join(letter for letter in self.output if letter in shared)

    def rows(self, index: int, array: Array, batch: str) -> Array:
        """Return `array` (planes, *shape of input `index`) as (rows, elements), a row for each place along `batch`."""
        letters = self.inputs[index]
        array = np.moveaxis(array, 0, -1)
        missing = [letter for letter in batch if letter not in letters]
        array = array.reshape(*[1] * len(missing), *array.shape)
        names = "".join(missing) + letters
        array = np.moveaxis(array, [names.index(letter) for letter in batch], range(len(batch)))
        shape = tuple(self.sizes[letter] for letter in batch) + array.shape[len(batch) :]
        if np.prod(shape, dtype=np.float64) > LIMIT:
            raise Unmoved(f"{self.node.where} has more than {LIMIT:,} elements")
        return np.broadcast_to(array, shape).reshape(int(np.prod(shape[: len(batch)])), -1)

    def placed(self, numbers: Array, batch: str) -> Array:
        """Return numbers, one for each place along `batch`, in the shape of the result."""
        shape = [self.sizes[letter] if letter in batch else 1 for letter in self.output]
        return np.broadcast_to(numbers.reshape(shape), [self.sizes[letter] for letter in self.output])

    def numbered(self, batch: str) -> Array:
        """Return the number of the row that each element of the result belongs to."""
        return self.placed(np.arange(int(np.prod([self.sizes[letter] for letter in batch])), dtype=np.int32), batch)

    def without(self, axis: int) -> int:
        """Return the number of the operand that does not have `axis` (from the end) of the result: the queries."""
        letter = self.output[axis] if -len(self.output) <= axis < len(self.output) else self.output[-1]
        first, second = self.inputs
        return second if letter in self.inputs[first] else first


def _varies(array: Array, axis: int) -> bool:
    """Return whether there are different columns along `axis`; where there are none does not count."""
    highest = array.max(axis=axis, keepdims=True)
    return bool(((array != highest) & (array != NONE)).any())


def product_of(node: NodeView, operands: Mapping[int, Array], sizes: Sizes) -> Product:
    """Return `node` as a product.

    Args:
        node: an operator for which `is_product` holds.
        operands: what is known of its operands, shape (planes, *shape), by the number of the input.
        sizes: shapes of the others.

    Raises:
        Unmoved: a shape is unknown, does not fit, or has too many elements to look at.
    """
    if any(array.size > LIMIT for array in operands.values()):  # views that take no memory, of any size
        raise Unmoved(f"an operand of {node.where} has more than {LIMIT:,} elements")
    numbers = PRODUCTS[node.domain, node.op_type]
    shapes = {index: operands[index].shape[1:] for index in numbers if index in operands}
    known: dict[int, tuple[int, ...] | None] = {}
    for index in numbers:
        value = node.input(index)
        known[index] = shapes[index] if index in shapes else sizes.shape(value) if value is not None else None
    ranks = [len(shape) for shape in (known[index] for index in numbers) if shape is not None]
    if len(ranks) < 2:
        raise Unmoved(f"the shape of an operand of {node.where} is unknown")
    left, right, output = _letters(node, ranks[0], ranks[1])
    letters = dict(zip(numbers, (left, right), strict=True))
    return Product(node, letters, output, _sizes(node, letters, known, output))


def _sizes(
    node: NodeView, letters: Mapping[int, str], shapes: Mapping[int, tuple[int, ...] | None], output: str
) -> dict[str, int]:
    sizes: dict[str, int] = dict.fromkeys(output, 1)
    for index, shape in shapes.items():
        for letter, size in zip(letters[index], shape or (), strict=True):
            if 1 not in (size, sizes.get(letter, 1)) and size != sizes[letter]:
                raise Unmoved(f"{node.where} multiplies tensors whose shapes do not fit")
            sizes[letter] = max(sizes.get(letter, 1), size)
    return sizes


def _letters(node: NodeView, left: int, right: int) -> tuple[str, str, str]:
    if node.op_type == "Einsum":
        return _equation(node, left, right)
    if min(left, right) < 2 or max(left, right) > len(_BATCH):
        raise Unmoved(f"{node.where} multiplies tensors of rank {left} and {right}")
    batch = _BATCH[: max(left, right) - 2]
    first = "ki" if node.attr("transA", 0) else "ik"
    second = "jk" if node.attr("transB", 0) else "kj"
    return batch[len(batch) - left + 2 :] + first, batch[len(batch) - right + 2 :] + second, batch + "ij"


def _equation(node: NodeView, left: int, right: int) -> tuple[str, str, str]:
    equation = node.attr("equation", b"")
    text = (equation.decode("utf-8", "replace") if isinstance(equation, bytes) else str(equation)).replace(" ", "")
    terms, arrow, output = text.partition("->")
    first, comma, second = terms.partition(",")
    fits = comma and arrow and "." not in text and (len(first), len(second)) == (left, right)
    if not fits or not set(output) <= set(first + second) or any(len(set(t)) < len(t) for t in (first, second, output)):
        raise Unmoved(f"the equation of {node.where} is none that can be followed")
    return first, second, output
