"""One node as rules, layer kinds and findings see it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.model import dims as d
from wua_onnx.model.dims import Dim, Shape
from wua_onnx.model.scopes import module_name, module_path

if TYPE_CHECKING:
    from wua_onnx.model.graph import Model

SMALL = 4096  # elements; constants up to this size may be read while counting


class ShapeUnknown(Exception):  # noqa: N818 - a signal to the walk, not an error of the user's
    """A rule asked for a shape that could not be inferred."""


@lru_cache(maxsize=4096)
def _schema(op_type: str, version: int, domain: str) -> onnx.defs.OpSchema | None:
    try:
        return onnx.defs.get_schema(op_type, version, domain)
    except onnx.defs.SchemaError:
        return None


class NodeView:
    """One node with its shapes, attributes and small constants: what a rule reads.

    Indices of inputs and outputs are those of the operator's specification.
    """

    __slots__ = ("model", "node", "opset")

    def __init__(self, node: ir.Node, model: Model) -> None:
        self.node, self.model = node, model
        self.opset = (node.version or model.ir_model.opset_imports.get(node.domain)) or 1

    @property
    def op_type(self) -> str:
        """The operator's name."""
        return self.node.op_type

    @property
    def domain(self) -> str:
        """The operator's domain; empty for ai.onnx."""
        return "" if self.node.domain == "ai.onnx" else self.node.domain

    @property
    def name(self) -> str:
        """The node's name, or the name of its first output where it has none."""
        return clean(self.node.name or (self.node.outputs[0].name if self.node.outputs else "") or self.op_type)

    @property
    def where(self) -> str:
        """How errors name this node."""
        return f"{self.domain + '::' if self.domain else ''}{clean(self.op_type)} (node {self.name!r})"

    @property
    def module(self) -> tuple[str, ...]:
        """The path of the module it came from, outermost first."""
        return module_path(self.node)

    @property
    def module_name(self) -> str:
        """The path of the module it came from, as its framework writes it."""
        return module_name(self.module, self.node)

    def input(self, index: int) -> ir.Value | None:
        """Return input `index`, None where it is left out."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def has(self, index: int) -> bool:
        """Return whether input `index` is given."""
        return self.input(index) is not None

    def shape(self, index: int) -> Shape:
        """Return the shape of input `index`; raises ShapeUnknown."""
        return self._shape(self.input(index), f"input {index}")

    def out_shape(self, index: int = 0) -> Shape:
        """Return the shape of output `index`; raises ShapeUnknown."""
        value = self.node.outputs[index] if index < len(self.node.outputs) else None
        return self._shape(value, f"output {index}")

    def _shape(self, value: ir.Value | None, which: str) -> Shape:
        shape = self.model.shape(value) if value is not None else None
        if shape is None:
            raise ShapeUnknown(f"the shape of {which} is unknown")
        return shape

    def size(self, index: int) -> Dim:
        """Return the number of elements of input `index`; raises ShapeUnknown."""
        return d.product(self.shape(index))

    def out_size(self, index: int = 0) -> Dim:
        """Return the number of elements of output `index`; raises ShapeUnknown."""
        return d.product(self.out_shape(index))

    def dtype(self, index: int) -> ir.DataType | None:
        """Return the element type of input `index`, None where it is unknown."""
        value = self.input(index)
        return value.dtype if value is not None else None

    def out_dtype(self, index: int = 0) -> ir.DataType | None:
        """Return the element type of output `index`, None where it is unknown."""
        return self.node.outputs[index].dtype if index < len(self.node.outputs) else None

    def attr(self, name: str, default: Any = None) -> Any:
        """Return attribute `name`, else the default of the operator's schema, else `default`."""
        attribute = self.node.attributes.get(name)
        if attribute is not None:
            return attribute.value
        schema = _schema(self.op_type, self.opset, self.domain)
        if schema is not None and name in schema.attributes and schema.attributes[name].default_value.type:
            return onnx.helper.get_attribute_value(schema.attributes[name].default_value)
        return default

    def const(self, index: int) -> np.ndarray[Any, Any] | None:
        """Return input `index` where it is a constant of at most `SMALL` elements; None otherwise."""
        value = self.input(index)
        tensor = ir.convenience.get_const_tensor(value) if value is not None else None
        if tensor is None or tensor.size > SMALL or isinstance(tensor, ir.ExternalTensor):
            return None
        return np.asarray(tensor.numpy())

    def graphs(self) -> dict[str, ir.Graph]:
        """Return the subgraphs by attribute name."""
        return {name: a.as_graph() for name, a in self.node.attributes.items() if a.type == ir.AttributeType.GRAPH}

    def expect(self, what: str, expected: object, got: object) -> None:
        """Raise ShapeError unless `expected == got`, in tuples element by element, or one of them is symbolic."""
        if _may_equal(expected, got):
            return
        from wua_onnx.errors import ShapeError

        raise ShapeError(f"{self.where}: {what}: expected {expected}, got {got}")

    def __repr__(self) -> str:
        return f"<{self.where}>"


def _may_equal(a: object, b: object) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_may_equal, a, b))
    return isinstance(a, d.Expr) or isinstance(b, d.Expr) or a == b
