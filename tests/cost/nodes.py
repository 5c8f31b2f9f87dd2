"""Models of one node, and what a count says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.cost import NodeCost, count
from wua_onnx.cost.value import KINDS
from wua_onnx.model import Dim, load


@dataclass(frozen=True)
class Typed:
    """An input of an element type other than float."""

    dtype: int
    shape: Sequence[int | str]


Given: TypeAlias = "Sequence[int | str] | npt.NDArray[Any] | Typed | None"

FLOAT, INT8, UINT8, INT64, BOOL = (
    TensorProto.FLOAT,
    TensorProto.INT8,
    TensorProto.UINT8,
    TensorProto.INT64,
    TensorProto.BOOL,
)


def typed(dtype: int, *shape: int | str) -> Typed:
    """Return the input of element type `dtype`."""
    return Typed(dtype, shape)


def one_node(
    op: str,
    *inputs: Given,
    opset: int = 23,
    domain: str = "",
    outputs: int = 1,
    out: Sequence[Sequence[int | str] | None] = (),
    **attributes: Any,
) -> onnx.ModelProto:
    """Return a model of one node.

    Args:
        op, domain, opset: the operator and the version of its domain.
        inputs: a shape (a float input), `typed(...)`, an array (an initializer) or None (left out).
        outputs: how many outputs the node has.
        out: shapes of the outputs, where inference cannot tell them.
        attributes: attributes of the node.
    """
    names, values, initializers = [], [], []
    for index, given in enumerate(inputs):
        names.append("" if given is None else f"x{index}")
        if isinstance(given, np.ndarray):
            initializers.append(numpy_helper.from_array(given, f"x{index}"))
        elif given is not None:
            wanted = given if isinstance(given, Typed) else Typed(FLOAT, given)
            values.append(helper.make_tensor_value_info(f"x{index}", wanted.dtype, wanted.shape))
    results = [f"y{index}" for index in range(outputs)]
    shapes = [*out, *[None] * (outputs - len(out))]
    graph = helper.make_graph(
        [helper.make_node(op, names, results, name="the_node", domain=domain, **attributes)],
        "one",
        values,
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in zip(results, shapes, strict=True)],
        initializers,
    )
    imports = {domain: opset} if not domain else {"": 21, domain: opset}
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid(d, v) for d, v in imports.items()], ir_version=10
    )


def cost_of(op: str, *inputs: Given, **settings: Any) -> NodeCost:
    """Return the cost of a model of one node (see `one_node`)."""
    (node,) = count(load(one_node(op, *inputs, **settings))).by_node
    return node


def whole(dim: Dim) -> int:
    """Return `dim`, which is no expression."""
    assert isinstance(dim, int)
    return dim


def figures(node: NodeCost) -> Counter[str]:
    """Return the figures of `node` that are not 0, by kind; none of them may be symbolic."""
    return +Counter({kind: whole(getattr(node.cost, kind)) for kind in KINDS})
