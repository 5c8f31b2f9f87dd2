"""Names in what PyTorch's exporter writes: layers and the batch dimension."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Set

import onnx_ir as ir

_GENERATED = re.compile(r"s\d+")


def layer_names(model: ir.Model, parameters: Set[str]) -> dict[str, str]:
    """Return the module path of each initializer that still bears the name of a parameter.

    A module that owns several weights gives `module.parameter` for each. The file alone does not always give the
    module: a convolution into which a BatchNormalization was folded bears the scope of the normalization.

    Args:
        model: what the exporter wrote.
        parameters: the names of `state_dict()`.
    """
    weights = [
        name
        for name, value in model.graph.initializers.items()
        if name in parameters and value.const_value is not None and len(value.const_value.shape) > 1
    ]
    owned = Counter(name.rpartition(".")[0] for name in weights)
    owners = ((name, name.rpartition(".")[0]) for name in weights)
    return {name: name if owned[owner] > 1 else owner for name, owner in owners if owner}


def name_batch(model: ir.Model) -> None:
    """Rename the symbol that the first axis of every input has in common, `s77` or the like, to `batch`."""
    first = {_symbol(value.shape[0]) for value in model.graph.inputs if value.shape} - {""}
    if len(first) != 1 or not _GENERATED.fullmatch(symbol := first.pop()):
        return
    word = re.compile(rf"\b{symbol}\b")
    for value in _values(model):
        if value.shape is not None:
            value.shape = ir.Shape(word.sub("batch", _symbol(dim)) or dim for dim in value.shape)


def _symbol(dim: int | ir.SymbolicDim) -> str:
    return str(dim.value) if isinstance(dim, ir.SymbolicDim) and dim.value is not None else ""


def _values(model: ir.Model) -> Iterator[ir.Value]:
    yield from model.graph.inputs
    for node in model.graph.all_nodes():
        yield from node.outputs
