"""A model as the bytes that onnxruntime opens, its big weights left on disk."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.errors import LimitError, RunError
from wua_onnx.model import external
from wua_onnx.model.graph import Model
from wua_onnx.model.symbols import all_values

_MAX_MESSAGE = 2**31 - 2**20  # bytes; protobuf's limit


def check_weights(model: Model) -> None:
    """Raise ExternalDataError where weights of `model` are missing on disk."""
    for value in model.ir_model.graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor):
            external.check_readable(value.const_value)


def folder_of(model: Model) -> Path | None:
    """Return where the weights lie that `serialized` leaves out; None for a model given as an object."""
    return model.path.resolve().parent if model.path is not None else None


def forget_shapes(model: ir.Model) -> None:
    """Drop inferred shapes, so that onnxruntime infers its own and never meets generated names inside.

    The counter and the condition of a loop keep theirs: onnxruntime wants to know that they are scalars. Where there
    are sequences, loops lose their types, too: inference takes a sequence that one carries for a tensor.
    """
    loops = [node for node in model.graph.all_nodes() if node.op_type == "Loop"]
    bodies = [node.attributes["body"].as_graph() for node in loops]
    scalars = [value for body in bodies for value in body.inputs[:2]]
    initial = {*model.graph.inputs, *model.graph.initializers.values(), *scalars}
    for value in all_values(model):
        if value not in initial:
            value.shape = None
    if any("Sequence" in node.op_type for node in model.graph.all_nodes()):
        made = (value for node in (*loops, *(inner for body in bodies for inner in body)) for value in node.outputs)
        for value in {*made, *(value for body in bodies for value in body.inputs)} - {*scalars, *model.graph.outputs}:
            value.type = None


def serialized(model: ir.Model) -> bytes:
    """Return the bytes of `model`.

    Raises:
        LimitError: weights given in memory exceed what one message can hold.
        RunError: it cannot be written: a name is no UTF-8, say.
    """
    held = sum(
        value.const_value.nbytes
        for value in model.graph.initializers.values()
        if value.const_value is not None and not isinstance(value.const_value, ir.ExternalTensor)
    )
    if held > _MAX_MESSAGE:
        raise LimitError(
            f"weights in memory: expected at most 2 GiB, got {held:,} bytes: save the model to a file first"
        )
    try:
        return bytes(ir.to_proto(model).SerializeToString())
    except ir.serde.SerdeError as error:
        raise RunError(f"model: expected one that can be written, got {root_cause(error)}") from None


def root_cause(error: BaseException) -> str:
    """Return the message of what `error` began with; onnx_ir wraps it once for every level of a graph."""
    while error.__cause__ is not None:
        error = error.__cause__
    return clean(str(error))
