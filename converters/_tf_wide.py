"""What a frozen TensorFlow graph computes in float32 where it is written in half precision: how far it rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ._quiet import converting
from ._tf_examples import Array, plain
from ._tf_functions import Traced
from ._tf_import import import_package

_NARROW = ("bfloat16", "float16")


def is_narrow(traced: Traced) -> bool:
    """Return whether anything in the graph is in half precision."""
    return any(tensor.dtype.name in _NARROW for op in traced.function.graph.get_operations() for tensor in op.outputs)


def outputs_in_float32(
    definition: Any, traced: Traced, arrays: list[Array], where: str
) -> Callable[[], tuple[Array, ...]]:
    """Return a function that computes the outputs in float32.

    Args:
        definition: the tf.GraphDef that was translated, frozen.
        traced: the function it was made of.
        arrays: what that is run on.
        where: the name of the model in messages.
    """

    def run() -> tuple[Array, ...]:
        tf = import_package("tensorflow")
        wide = [array.astype(np.float32) if array.dtype == np.float16 else array for array in arrays]
        with converting(f"{where} in float32", "a graph that TensorFlow can run"):
            graph = imported(_widened(definition))
            made = pruned(graph, traced, [output.name for output in traced.function.outputs], wide)
            return tuple(plain(value) for value in tf.nest.flatten(made))

    return run


def imported(definition: Any) -> Any:
    """Return a tf.GraphDef as a function from which parts can be pruned."""
    tf = import_package("tensorflow")
    return tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])


def pruned(graph: Any, traced: Traced, names: list[str], arrays: list[Array]) -> Any:
    """Return the tensors of the graph that bear these names, computed of the arrays, the inputs of `traced`."""
    tf = import_package("tensorflow")
    taken = {operation.name for operation in graph.graph.get_operations()}
    fed = [tensor for tensor in traced.function.inputs if tensor.dtype != tf.resource][: len(arrays)]
    pairs = [(t.name, array) for t, array in zip(fed, arrays, strict=True) if t.op.name in taken]
    find = graph.graph.get_tensor_by_name
    function = graph.prune([find(name) for name, _ in pairs], [find(name) for name in names])
    return function(*(tf.constant(array) for _, array in pairs))


def _widened(definition: Any) -> Any:
    """Return a copy of the graph in which float32 stands for types of half precision."""
    tf = import_package("tensorflow")
    made = type(definition)()
    made.CopyFrom(definition)
    narrow = {getattr(tf, name).as_datatype_enum for name in _NARROW}
    wide = tf.float32.as_datatype_enum
    for attribute in (attribute for node in _nodes(made) for attribute in node.attr.values()):
        kind = attribute.WhichOneof("value")
        if kind == "type" and attribute.type in narrow:
            attribute.type = wide
        elif kind == "list":
            attribute.list.type[:] = [wide if dtype in narrow else dtype for dtype in attribute.list.type]
        elif kind == "tensor" and attribute.tensor.dtype in narrow:
            attribute.tensor.CopyFrom(tf.make_tensor_proto(tf.make_ndarray(attribute.tensor).astype(np.float32)))
    for function in made.library.function:
        for argument in (*function.signature.input_arg, *function.signature.output_arg):
            if argument.type in narrow:
                argument.type = wide
    return made


def _nodes(definition: Any) -> Iterator[Any]:
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def
