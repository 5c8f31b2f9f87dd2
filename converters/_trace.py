"""Tracing initializers back to the parameters they came from by their values, where the exporter lost the names.

Exporters transpose kernels, reorder gates and stack directions; none of that changes how many values there are, the
smallest or the largest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

Array: TypeAlias = np.ndarray[Any, Any]
_MOST_PARTS = 8  # directions or halves that one initializer is taken to be stacked of


class Parameters:
    """The parameters of a model, to be found by value.

    Args:
        sizes: the number of values of each parameter, by path.
        read: returns the values of the parameter with this path.
    """

    def __init__(self, sizes: Mapping[str, int], read: Callable[[str], Array]) -> None:
        self._of_size: dict[int, list[str]] = {}
        for path, size in sizes.items():
            self._of_size.setdefault(size, []).append(path)
        self._read = read
        self._prints: dict[str, tuple[float, float]] = {}

    def named(self, array: Array, near: str = "") -> str | None:
        """Return the path of the parameter with these values in any order; None where none or several have them.

        Args:
            array: the values.
            near: the path of the module that uses them, which decides among several.
        """
        if array.size < 2 or array.dtype.kind not in "fiuV":
            return None
        wanted = _print(array)
        same = self._of_size.get(array.size, ())
        found = [path for path in same if _rounded(self._print_of(path), array.dtype) == wanted]
        own = [path for path in found if near and (path.startswith(near) or f"/{near}/" in f"/{path}")]
        return found[0] if len(found) == 1 else own[0] if len(own) == 1 else None

    def stacked(self, array: Array, near: str = "") -> str | None:
        """Return the path of the first of the parameters that were stacked into `array` along an axis of it."""
        return next(iter(self.parts(array, near)), None)

    def parts(self, array: Array, near: str = "") -> list[str]:
        """Return the paths of the parameters that were stacked into `array` along an axis of it; none of others."""
        for axis in range(min(array.ndim, 2)):
            for parts in range(2, _MOST_PARTS + 1):
                if array.shape[axis] % parts == 0:
                    cut = [self.named(part, near) for part in np.split(array, parts, axis)]
                    known = [path for path in cut if path is not None]
                    if len(known) == parts:
                        return known
        return []

    def _print_of(self, path: str) -> tuple[float, float]:
        if path not in self._prints:
            self._prints[path] = _print(self._read(path))
        return self._prints[path]


def _print(array: Array) -> tuple[float, float]:
    if array.dtype.kind == "c":  # of which exporters make real numbers
        return math.nan, math.nan
    return float(array.min()), float(array.max())


def _rounded(extremes: tuple[float, float], dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the extremes as they are once the values are cast to `dtype`, which keeps their order."""
    if dtype.kind not in "fV":
        return extremes
    low, high = np.array(extremes).astype(dtype).tolist()
    return float(low), float(high)


def initializers_of(model: ir.Model) -> Iterator[ir.Value]:
    """Yield every initializer that has values, of subgraphs too."""
    for graph in model.graphs():
        yield from (value for value in graph.initializers.values() if value.const_value is not None)


def tie(model: ir.Model) -> None:
    """Let an initializer that is another one transposed be made of it: a table tied to a last layer is one parameter.

    Exporters write the kernel of the last layer as a copy, transposed, and keep the table. Where names are scopes, the
    one deepest in them stays: a copy made by the model itself bears no layer's name.
    """
    matrices: dict[tuple[int, ...], list[ir.Value]] = {}
    for value in model.graph.initializers.values():
        shape = value.const_value.shape.numpy() if value.const_value is not None else ()
        if len(shape) == 2 and min(shape) > 1:
            matrices.setdefault(tuple(sorted(shape)), []).append(value)
    for group in matrices.values():
        group.sort(key=lambda value: -str(value.name).count("/"))
        for first, second in itertools.pairwise(group):
            if _is_transposed(first, second):
                _replace(model, second, first)


def _is_transposed(first: ir.Value, second: ir.Value) -> bool:
    assert first.const_value is not None
    assert second.const_value is not None
    a, b = first.const_value, second.const_value
    if a.dtype != b.dtype or tuple(a.shape.numpy()) != tuple(reversed(b.shape.numpy())):
        return False
    left, right = a.numpy(), b.numpy()
    return bool(np.array_equal(left[:, 0], right[0]) and np.array_equal(left.T, right))


def _replace(model: ir.Model, copy: ir.Value, original: ir.Value) -> None:
    node = ir.node("Transpose", [original], {"perm": [1, 0]}, name=f"{original.name}/transposed")
    node.outputs[0].name = f"{original.name}_transposed"
    node.outputs[0].type, node.outputs[0].shape = copy.type, copy.shape
    model.graph.insert_before(next(iter(model.graph)), node)
    ir.convenience.replace_all_uses_with(copy, node.outputs[0])
    del model.graph.initializers[str(copy.name)]
