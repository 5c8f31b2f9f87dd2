"""Giving an ONNX graph from tf2onnx the names its author knows: layers, parameters, inputs, the batch.

TensorFlow names an operator by the scopes around it, made unique by numbers: what the layer `dense_1` of the model
`net` does is called `net_1/dense_1_1/MatMul`, and its kernel `net_1/dense_1_1/Cast/ReadVariableOp:0`. Here they
become `dense_1/MatMul` and `dense_1/kernel`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace

import onnx_ir as ir

from ._base import Module
from ._tf_interface import unused, values
from ._tf_parameters import Variables, origin, paths_by_value, paths_read

_CALL = "StatefulPartitionedCall"  # the scope that a loaded signature wraps around everything
# How the weight of `dense` is named, dense/Cast/ReadVariableOp, and that of a convolution which took a scale in.
_READ = re.compile(r"/[^/]+/(ReadVariableOp|merged_input).*$")
_NUMBER = re.compile(r"_\d+$")


def rename(
    model: ir.Model, scopes: Mapping[str, str], variables: Variables, reads: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Rename nodes and initializers in place; return the layer of each weight by its new name.

    A layer that owns several weights gives `layer.parameter` for each.

    Args:
        model: what tf2onnx wrote.
        scopes: the path of layer names for each name scope, the empty path for the model's own.
        variables: (path, variable) of the model's parameters.
        reads: the path of the variable that an operator of TensorFlow reads, by its name, where that is known.
    """
    taken = {str(node.name) for node in model.graph.all_nodes()}
    runs_in: dict[ir.Node, str | None] = {}
    for node in model.graph.all_nodes():
        runs_in[node], new = _relative(str(node.name), scopes)
        if new != node.name:
            node.name = unused(new, taken)
    used_in = {
        name: _relative(origin(name), scopes)[0] or next((runs_in[user] for user in value.consumers()), None) or ""
        for name, value in model.graph.initializers.items()
    }
    paths = paths_by_value(model, variables, used_in) | paths_read(model, variables, reads or {})
    taken = {str(value.name) for value in values(model)}
    owners: dict[str, tuple[str, str]] = {}
    known = {path for path in scopes.values() if path}
    own = {path for path, _ in variables}
    joined = {name for name, path in paths.items() if path not in own}
    for old, value in list(model.graph.initializers.items()):
        layer, new = _relative(origin(old), scopes)
        parameter = paths.get(old, "").rpartition("/")[2]
        if parameter and old in joined:
            layer = _layer_of(paths[old], known)
        elif parameter and layer is None:
            # A constant made while folding, outside of every scope: the layer is that of its user or its variable.
            layer = next((runs_in[user] for user in value.consumers()), None) or _layer_of(paths[old], known)
        if parameter:
            new = paths[old] if layer is None else f"{layer}/{parameter}".lstrip("/")
        if new != old:
            value.name = unused(new, taken)
        if layer is None and parameter:
            layer = paths[old].rpartition("/")[0]
        if (layer or parameter) and value.shape is not None and len(value.shape) > 1 and "bias" not in parameter:
            owners[str(value.name)] = layer or "", parameter
    owned = Counter(layer for layer, _ in owners.values())
    return {
        name: f"{layer}.{parameter}".lstrip(".") if parameter and (owned[layer] > 1 or not layer) else layer
        for name, (layer, parameter) in owners.items()
    }


def with_folded(
    model: ir.Model, layers: Mapping[str, str], modules: Mapping[str, Module], variables: Variables
) -> dict[str, Module]:
    """Return the modules, each with the BatchNormalization that was folded into its weights.

    tf2onnx gives a convolution the name of the normalization that it takes in, or none (`Conv__11`) where its bias
    then has it. Such operators are named after the layer of their weights. A SavedModel, whose modules are not known,
    tells these by their variables.

    Args:
        model: with the names that `rename` gave.
        layers: what `rename` returned.
        modules: what is known of each layer, by its path.
        variables: (path, variable) of the model's parameters.
    """
    found = dict(modules)
    normalizing = {path for path, module in modules.items() if module.class_name == "BatchNormalization"}
    known = set(modules)
    if not modules:
        owners = {owner.partition(".")[0] for owner in layers.values()}
        normalizing = set(_ends(path for path, _ in variables if path.endswith("/moving_variance")))
        known = owners | normalizing
    taken = {str(node.name) for node in model.graph.all_nodes()}
    for node in model.graph.all_nodes():
        read = [str(value.name) for value in node.inputs if value is not None and value.is_initializer()]
        owners_of = (name if name in known else name.rpartition(".")[0] for name in (layers.get(n, "") for n in read))
        owner = next((name for name in owners_of if name in known), None)
        if owner is None:
            continue
        scopes = [_inside(name, known) for name in (str(node.name), *read)]
        inside = next((scope for scope in scopes if scope in normalizing and scope != owner), None)
        if inside is not None:
            found[owner] = replace(found.get(owner, Module(class_name=None, line=None)), folded=inside)
        if scopes[0] is None or scopes[0] == inside:
            node.name = unused(f"{owner}/{str(node.name).rpartition('/')[2]}", taken)
    return found


def _inside(name: str, known: Set[str]) -> str | None:
    """Return the innermost path in whose scope `name` lies."""
    parts = name.split("/")
    around = ("/".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
    return next((path for path in around if path in known), None)


def _ends(paths: Iterable[str]) -> Iterator[str]:
    """Yield the path of the layer of each variable, and what is left of it without the first scopes."""
    for path in paths:
        parts = path.split("/")[:-1]
        yield from ("/".join(parts[start:]) for start in range(len(parts)))


def _relative(name: str, scopes: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the layer in whose scope `name` lies, None in no one's, and the name in terms of that layer."""
    parts = name.split("/")
    for end in range(len(parts) - 1, 0, -1):
        scope = "/".join(parts[:end])
        if scope in scopes:
            return scopes[scope], "/".join(filter(None, [scopes[scope], *parts[end:]]))
    return None, name


def layer_of_scope(name: str, scopes: Mapping[str, str]) -> str | None:
    """Return the path of the layer in whose scope the operator `name` lies, None in no one's."""
    return _relative(name, scopes)[0] or None


def _layer_of(path: str, known: Set[str]) -> str | None:
    """Return the longest part of the path of a variable that is the path of a layer."""
    parts = path.split("/")[:-1]
    ends = ((start, end) for end in range(len(parts), 0, -1) for start in range(end))
    return next((found for start, end in ends if (found := "/".join(parts[start:end])) in known), None)


def scopes_of_variables(model: ir.Model, variables: Variables) -> dict[str, str]:
    """Return the path of layer names for name scopes, guessed from the paths of the variables used in them.

    For graphs whose layers are gone (a SavedModel): the scope `net_1/blk_1/dense_1_1` is that of the variable
    `blk/dense_1/kernel`. What stands before the path belongs to the model as a whole.
    """
    layers = {path.rpartition("/")[0] for path, _ in variables} - {""}
    by_value = paths_by_value(model, variables)
    scopes: dict[str, str] = {}
    names = [(str(node.name), "") for node in model.graph.all_nodes()]
    names += [(name, by_value.get(name, "").rpartition("/")[0]) for name in model.graph.initializers]
    for name, layer in names:
        scope, path = _match(name, {layer} if layer else layers)
        outer = scope.split("/")[: -len(path.split("/"))]
        if path and set(outer) <= {_CALL}:
            # No scope stands for the model: the path begins with it, as those of a Sequential do.
            outer, path = scope.split("/")[: len(outer) + 1], path.partition("/")[2] or path
        if scope:
            scopes.setdefault(scope, path)
            scopes.setdefault("/".join(outer), "")
    return scopes


def scopes_of_nodes(model: ir.Model) -> dict[str, str]:
    """Return the path of layer names for name scopes of a graph without variables (frozen, TensorFlow Lite).

    A scope that stands around everything belongs to the model. Numbers are dropped where no two scopes then become
    one. Where several operators were fused, their names stand one after the other, and the last one counts.
    """
    taken: set[str] = set()
    for node in model.graph.all_nodes():
        node.name = unused(_last_of(str(node.name)), taken)
    names = [str(node.name) for node in model.graph.all_nodes()]
    shapes = {name: value.shape or () for name, value in model.graph.initializers.items()}
    # A number in the shape of one is no weight, and stands in a scope that tf2onnx made up.
    weights = (name for name, shape in shapes.items() if len(shape) > 1 and any(dim != 1 for dim in shape))
    names += [_READ.sub("/weight", name) for name in weights]
    scopes = {"/".join(parts[:end]) for parts in (name.split("/") for name in names) for end in range(1, len(parts))}
    outer = {scope.partition("/")[0] for scope in scopes}
    top = outer.pop() if len(outer) == 1 else None
    found = {}
    for scope in scopes:
        parts = scope.split("/")[top is not None :]
        found[scope] = "/".join(_NUMBER.sub("", part) for part in parts)
    meant = Counter(found.values())
    return {scope: path if meant[path] == 1 else scope for scope, path in found.items()}


def _last_of(name: str) -> str:
    """Return the last of the names that stand one after the other, `a/mul;b/add;2` or `b/add;_dequant`."""
    parts = name.split(";")
    return next((part for part in reversed(parts) if "/" in part), parts[0] or name)


def _match(name: str, layers: set[str]) -> tuple[str, str]:
    """Return the innermost scope of `name` that ends like the path of a layer, numbers set aside, and that path.

    Keras enters each scope twice, so what runs in `dense` is named `dense_1`, and `dense_1` then `dense_1_1`: where
    both `dense` and `dense_1` are layers, the shorter is meant. Two empty strings where there is none.
    """
    parts = name.removesuffix(":0").split("/")[:-1]
    for end in range(len(parts), 0, -1):
        fitting = [path for path in layers if _ends_like(parts[:end], path.split("/"))]
        if fitting:
            return "/".join(parts[:end]), min(fitting, key=lambda path: (-path.count("/"), len(path)))
    return "", ""


def _ends_like(scope: list[str], path: list[str]) -> bool:
    tail = scope[-len(path) :]
    return len(tail) == len(path) and all(s == p or _NUMBER.sub("", s) == p for s, p in zip(tail, path, strict=True))
