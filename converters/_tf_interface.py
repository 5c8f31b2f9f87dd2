"""Names that a graph from tf2onnx shows to the outside: its inputs and outputs, their dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir


def name_inputs(model: ir.Model) -> None:
    """Take the number of the tensor from the names of inputs: `x` in place of `x:0`."""
    taken = {str(value.name) for value in values(model)}
    for value in model.graph.inputs:
        plain = str(value.name).removesuffix(":0")
        if plain not in taken:
            value.name = plain


def name_dimensions(model: ir.Model, samples: int | None, sizes: Sequence[tuple[int, ...]]) -> None:
    """Name the free dimensions of inputs and outputs, `unk__36` and the like.

    The first axis of an input becomes `batch`, another one `<input>_<axis>`; so does the first axis of an output
    that was as long as the batch.

    Args:
        model: what tf2onnx wrote.
        samples: the size of the batch of an example; None where there is none.
        sizes: the shapes of that example's outputs.
    """
    for value in model.graph.inputs:
        if value.shape is not None:
            names = ["batch", *(f"{value.name}_{axis}" for axis in range(1, len(value.shape)))][: len(value.shape)]
            value.shape = ir.Shape(
                n if isinstance(d, ir.SymbolicDim) else d for d, n in zip(value.shape, names, strict=True)
            )
    for value, size in zip(model.graph.outputs, sizes, strict=False):
        if value.shape and isinstance(value.shape[0], ir.SymbolicDim) and size[:1] == (samples,):
            value.shape = ir.Shape(["batch", *value.shape[1:]])


def name_outputs(model: ir.Model, names: Sequence[str]) -> None:
    """Give the outputs the author's names, where these are unique and free."""
    taken = {str(value.name) for value in values(model)} - {str(value.name) for value in model.graph.outputs}
    if len(set(names)) == len(model.graph.outputs) == len(names) and not taken & set(names):
        for value, name in zip(model.graph.outputs, names, strict=True):
            value.name = name


def unused(name: str, taken: set[str]) -> str:
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate


def values(model: ir.Model) -> Iterator[ir.Value]:
    yield from model.graph.inputs
    yield from model.graph.initializers.values()
    for node in model.graph.all_nodes():
        yield from node.outputs
