"""Operators whose specification defines them by a function: that function as a small model of its own.

An operator without a rule is counted through it. https://onnx.ai/onnx/repo-docs/IR.html#functions
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, RemoveUnusedNodesPass

from wua_onnx._text import clean
from wua_onnx.model.graph import Model
from wua_onnx.model.load import infer_shapes
from wua_onnx.model.node import NodeView, ShapeUnknown
from wua_onnx.model.quiet import silent
from wua_onnx.model.symbols import all_values

_CALL = "wua_onnx.body"  # the domain of the call that is written out
_INVENTED = re.compile(r"\b_d\d+\b")  # what shape inference calls a dimension that it cannot tell


def body_of(node: NodeView) -> Model | None:
    """Return the function that defines the operator of `node`, on inputs of its shapes and element types.

    None where its specification has no function. Inputs that are initializers stay constants, and a dimension that
    cannot be told inside the function is unknown.

    Raises:
        ShapeUnknown: the function cannot be made for this node.
    """
    try:
        schema: Any = onnx.defs.get_schema(node.op_type, node.opset, node.domain)
    except (onnx.defs.SchemaError, TypeError):  # TypeError: a name that is no UTF-8
        return None
    if not (schema.has_function or schema.has_context_dependent_function):
        return None
    try:
        with silent("onnx_ir"):  # it writes names of the node to stderr
            return _model_of(node, schema)
    except ShapeUnknown:
        raise
    except Exception as problem:  # many kinds, on nodes that are not what their specification says
        raise ShapeUnknown(
            f"its function body cannot be made: {type(problem).__name__}: {clean(str(problem))}"
        ) from problem


def _model_of(node: NodeView, schema: Any) -> Model:
    function = _function(node, schema)
    function.name, function.domain, function.overload = "body", _CALL, ""
    _keep_outputs(function, node)
    imports = {"": _main_opset(node), **{item.domain: item.version for item in function.opset_import}}
    given = {value: _copy(value, index) for index, value in enumerate(_distinct(node))}
    names = set(function.attribute)
    call = ir.Node(
        _CALL,
        "body",
        [given[value] if value is not None else None for value in node.node.inputs],
        [attribute for attribute in _attributes(node, schema) if attribute.name in names],
        num_outputs=len(function.output),
    )
    for index, value in enumerate(call.outputs):
        value.name = f"out{index}"
    graph = ir.Graph(
        [value for value in given.values() if value.const_value is None],
        call.outputs,
        nodes=[call],
        initializers=[value for value in given.values() if value.const_value is not None],
        opset_imports={**imports, _CALL: 1},
        name="body",
    )
    called = ir.Model(graph, ir_version=10, functions=[ir.serde.deserialize_function(function)])
    written_out = RemoveUnusedNodesPass()(InlinePass()(called).model).model
    infer_shapes(written_out)
    _forget_invented(written_out, _dims_of(given))
    return Model(ir_model=written_out, name=node.op_type, path=None)


def _function(node: NodeView, schema: Any) -> onnx.FunctionProto:
    """Return the function for the model's opset: the newest that is not newer, else the oldest."""
    if schema.has_function:
        version = _fitting(schema.function_opset_versions, _main_opset(node))
        return _parsed(schema.get_function_with_opset_version(version))
    version = _fitting(schema.context_dependent_function_opset_versions, _main_opset(node))
    proto = onnx.NodeProto.FromString(ir.to_proto(node.node).SerializeToString())
    types = [_type(value).SerializeToString() for value in node.node.inputs]
    made = schema.get_context_dependent_function_with_opset_version(version, proto.SerializeToString(), types)
    return _parsed(made)


def _parsed(content: bytes) -> onnx.FunctionProto:
    function: onnx.FunctionProto = onnx.FunctionProto.FromString(content)
    return function


def _keep_outputs(function: onnx.FunctionProto, node: NodeView) -> None:
    """Leave only the outputs that `node` has; for others the function may compute nothing."""
    wanted = [name for name, outer in zip(function.output, node.node.outputs, strict=False) if outer.name]
    del function.output[:]
    function.output.extend(wanted)


def _main_opset(node: NodeView) -> int:
    return node.model.ir_model.opset_imports.get("") or node.opset


def _fitting(versions: Sequence[int], opset: int) -> int:
    return max((version for version in versions if version <= opset), default=min(versions))


def _type(value: ir.Value | None) -> onnx.TypeProto:
    if value is None:
        return onnx.TypeProto()
    if value.type is None:
        raise ShapeUnknown("the element type of an input is unknown")
    return ir.to_proto(value).type


def _distinct(node: NodeView) -> list[ir.Value]:
    return list(dict.fromkeys(value for value in node.node.inputs if value is not None))


def _copy(value: ir.Value, index: int) -> ir.Value:
    shape = ir.Shape(list(value.shape)) if value.shape is not None else None
    return ir.Value(name=f"in{index}", shape=shape, type=value.type, const_value=ir.convenience.get_const_tensor(value))


def _attributes(node: NodeView, schema: Any) -> list[ir.Attr]:
    """Return the node's attributes, with the defaults of the schema; graphs are already part of the function."""
    given = {name: a for name, a in node.node.attributes.items() if a.type != ir.AttributeType.GRAPH}
    defaults = {
        name: ir.serde.deserialize_attribute(attribute.default_value)
        for name, attribute in schema.attributes.items()
        if attribute.default_value.type and name not in given
    }
    return [*given.values(), *defaults.values()]


def _dims_of(values: dict[ir.Value, ir.Value]) -> set[str]:
    shapes = [value.shape for value in values if value.shape is not None]
    return {name for shape in shapes for dim in shape for name in _INVENTED.findall(str(dim))}


def _forget_invented(model: ir.Model, known: set[str]) -> None:
    """Make dimensions unknown that inference named anew: the outer model may use the same name for another."""
    for value in all_values(model):
        for axis, dim in enumerate(value.shape or ()):
            if set(_INVENTED.findall(str(dim))) - known:
                assert value.shape is not None
                value.shape[axis] = None


__all__ = ["body_of"]
