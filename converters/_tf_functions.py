"""Finding the one graph to convert: a traced function with its inputs, from whatever TensorFlow object it is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wua_onnx.errors import ConversionError

from . import _examples
from ._quiet import converting
from ._tf_import import import_package

SIGNATURE = "serving_default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A function traced to one graph.

    Attributes:
        function: the tf.types.experimental.ConcreteFunction.
        specs: the tf.TensorSpec of each input, in order, named.
        variables: (path, variable) of all it may read.
        outputs: the author's names of the outputs, in order; empty where there are none.
        holder: what owns the variables; they live as long as it does.
        sizes: the name and the shape of the tensor that each layer makes, by the layer's path, where it is known.
        reads: the path of the variable that an operator reads, by the operator's name, where the graph shows it.
    """

    function: Any
    specs: tuple[Any, ...]
    variables: tuple[tuple[str, Any], ...]
    outputs: tuple[str, ...] = ()
    holder: Any = None
    sizes: Mapping[str, tuple[str, tuple[int | None, ...]]] = field(default_factory=dict)
    reads: Mapping[str, str] = field(default_factory=dict)


def from_saved_model(folder: Path, signature: str | None = None) -> Traced:
    """Load a SavedModel and return one of its signatures: `serving_default` by default, or the only one it has.

    Raises:
        ConversionError: the folder cannot be loaded, or has no such signature.
    """
    tf = import_package("tensorflow")
    if b"XlaCallModule" in (folder / "saved_model.pb").read_bytes():
        raise ConversionError(
            f"{folder}: expected a SavedModel of TensorFlow's operators, got one with a program that JAX has compiled: "
            "convert the Keras model itself, or its .keras file"
        )
    with converting(str(folder), "a SavedModel"):
        loaded = tf.saved_model.load(str(folder))
    signatures = dict(loaded.signatures)
    wanted = signature or (next(iter(signatures)) if len(signatures) == 1 else SIGNATURE)
    if wanted not in signatures:
        has = ", ".join(sorted(signatures)) or "none"
        raise ConversionError(
            f"{folder}: expected the signature {wanted!r}, got a SavedModel with {has}: choose one with --signature "
            "(in Python: signature=)"
        )
    return traced(signatures[wanted], holder=loaded)


def from_frozen_graph(path: Path, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Traced:
    """Return the graph in a frozen .pb file, from its placeholders to the operators that nothing reads.

    Args:
        path: a serialized GraphDef whose weights are constants.
        inputs: names of the tensors to begin at in place of the placeholders.
        outputs: names of the tensors to end at, where others than the last ones are meant.

    Raises:
        ConversionError: the file is no GraphDef, or has no such tensors.
    """
    tf = import_package("tensorflow")
    definition = tf.compat.v1.GraphDef()
    with converting(str(path), "a frozen TensorFlow graph"):
        definition.ParseFromString(path.read_bytes())
        read = {name.lstrip("^").partition(":")[0] for node in definition.node for name in node.input}
        idle = ("NoOp", "Const", "Assert", "Placeholder")
        first = inputs or tuple(node.name for node in definition.node if node.op == "Placeholder")
        last = outputs or tuple(n.name for n in definition.node if n.name not in read and n.op not in idle)
        graph = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])

        def tensors(names: tuple[str, ...]) -> list[Any]:
            return [graph.graph.as_graph_element(name if ":" in name else f"{name}:0") for name in names]

        function = graph.prune(tensors(first), tensors(last))
    specs = tuple(
        tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name.partition(":")[0]) for tensor in function.inputs
    )
    names = tuple(name.partition(":")[0] for name in last)
    return Traced(function=function, specs=specs, variables=(), outputs=names, holder=graph)


def from_function(function: Any, X: Any, where: str, holder: Any = None) -> Traced:
    """Return the graph of a tf.function for its signature, or for one made from X: its batch, axis 0, is free.

    Raises:
        ConversionError: the function has no signature and there is no X, or it cannot be traced for X.
    """
    tf = import_package("tensorflow")
    if isinstance(function, tf.types.experimental.ConcreteFunction):
        return traced(function, holder=holder)
    if function.input_signature is not None:
        with converting(where, "a function that can be traced"):
            return traced(function.get_concrete_function(), holder=holder)
    if X is None:
        raise ConversionError(f"{where}: expected an input_signature, or X to make one from, got neither")
    block = _examples.first_block(X)
    specs = {n: spec_for(v) for n, v in block.items()} if isinstance(block, dict) else tuple(map(spec_for, block))
    with converting(f"{where} on {specs}", "a function that can be traced"):
        made = function.get_concrete_function
        return traced(made(**specs) if isinstance(specs, dict) else made(*specs), holder=holder)


def spec_for(value: Any) -> Any:
    """Return the tf.TensorSpec of an array whose first axis is the batch."""
    tf = import_package("tensorflow")
    array = _examples.as_array(value)
    return tf.TensorSpec([None, *array.shape[1:]] if array.ndim else [], array.dtype)


def from_module(module: Any, X: Any, where: str) -> Traced:
    """Return the graph of the function of a tf.Module: `__call__` where that is one, else the only one there is.

    Raises:
        ConversionError: it has none, or several.
    """
    signatures = dict(getattr(module, "signatures", {}))
    if SIGNATURE in signatures:
        return traced(signatures[SIGNATURE], holder=module)
    kind = import_package("tensorflow").types.experimental.PolymorphicFunction
    names = [name for name in dir(type(module)) if isinstance(getattr(type(module), name, None), kind)]
    names += [name for name, value in vars(module).items() if isinstance(value, kind)]
    if "__call__" in names:
        names = ["__call__"]
    if len(names) != 1:
        raise ConversionError(
            f"{where}: expected one tf.function, got {', '.join(names) or 'none'}: pass that function"
        )
    return from_function(getattr(module, names[0]), X, where, holder=module)


def traced(function: Any, holder: Any = None) -> Traced:
    """Return a concrete function with its inputs and variables."""
    tf = import_package("tensorflow")
    args, kwargs = function.structured_input_signature
    specs = [spec for spec in tf.nest.flatten((args, kwargs)) if isinstance(spec, tf.TensorSpec)]
    variables = tuple((variable.name.removesuffix(":0"), variable) for variable in function.variables)
    made = function.structured_outputs
    outputs = tuple(sorted(made)) if isinstance(made, dict) else ()
    return Traced(
        function=function,
        specs=tuple(specs),
        variables=variables,
        outputs=outputs,
        holder=holder,
        reads=_reads(function, variables),
    )


def _reads(function: Any, variables: tuple[tuple[str, Any], ...]) -> dict[str, str]:
    """Return the path of the variable that each operator reads; those inside of called functions are not seen."""
    handles = {id(variable.handle): path for path, variable in variables if hasattr(variable, "handle")}
    captured = {placeholder.name: handles.get(id(tensor)) for tensor, placeholder in function.graph.captures}
    reading = (op for op in function.graph.get_operations() if op.type == "ReadVariableOp")
    return {str(op.name): path for op in reading if (path := captured.get(op.inputs[0].name)) is not None}
