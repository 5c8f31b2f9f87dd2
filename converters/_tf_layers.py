"""What each layer of a TensorFlow graph makes, where no Keras model tells: read off the scopes of its operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ._check import Layers
from ._quiet import converting
from ._tf_examples import Array, plain
from ._tf_functions import Traced
from ._tf_names import layer_of_scope
from ._tf_wide import imported, pruned

Sizes = dict[str, tuple[str, tuple[int | None, ...]]]
_IDLE = ("Const", "NoOp", "Placeholder")


def layers_made(
    definition: Any, traced: Traced, scopes: Mapping[str, str], arrays: list[Array], where: str
) -> tuple[Sizes, Callable[[], Layers]]:
    """Return the name and the shape of what each layer makes, by its path, and a function that computes them.

    Layers whose result has more unknown sizes than that of the batch are left out.

    Args:
        definition: the tf.GraphDef that was translated, frozen, without calls of functions.
        traced: the function it was made of.
        scopes: the path of layer names for each name scope.
        arrays: what the function is run on.
        where: the name of the model in messages.
    """
    with converting(where, "a graph that TensorFlow can load"):
        graph = imported(definition)
    exits = {path: graph.graph.get_tensor_by_name(name) for path, name in _exits(definition, scopes).items()}
    known = {path: made for path, made in exits.items() if made.shape.rank and made.shape[1:].is_fully_defined()}

    def run() -> Layers:
        with converting(where, "layers that can be run"):
            made = pruned(graph, traced, [tensor.name for tensor in known.values()], arrays)
        return [(path, plain(value)) for path, value in zip(known, made, strict=True)]

    return {path: (made.name, tuple(made.shape)) for path, made in known.items()}, run


def _exits(definition: Any, scopes: Mapping[str, str]) -> dict[str, str]:
    """Return the name of the tensor that leaves the scope of each layer, where just one does."""
    layer = {node.name: layer_of_scope(node.name, scopes) for node in definition.node if node.op not in _IDLE}
    users: dict[str, set[str | None]] = {}
    for node in definition.node:
        for name in node.input:
            users.setdefault(name.lstrip("^").partition(":")[0], set()).add(layer.get(node.name))
    leaving: dict[str, list[str]] = {}
    for name, path in layer.items():
        if path and users.get(name, {None}) != {path}:
            leaving.setdefault(path, []).append(f"{name}:0")
    return {path: names[0] for path, names in leaving.items() if len(names) == 1}
