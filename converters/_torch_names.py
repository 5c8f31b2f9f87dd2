"""Names in what PyTorch's exporter writes: layers, parameters, dimensions, and what it knows of every module."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from wua_onnx.model.scopes import folded_normalization, module_classes, module_path, source_line

from ._base import Module
from ._trace import Parameters, initializers_of

if TYPE_CHECKING:
    import torch

_GENERATED = re.compile(r"s\d+")
_RECURRENT = frozenset({"GRU", "LSTM", "RNN", "Scan"})
_PARAMETRIZED = re.compile(r"parametrizations\.(\w+)\.original\d*$")  # torch.nn.utils.parametrize
_MAIN = ("weight", "kernel")  # the parameter that is called by its module's name alone


def name_parameters(
    model: ir.Model, parameters: Parameters, names: set[str], first_paths: Mapping[str, str]
) -> dict[str, str]:
    """Give initializers the names of the parameters they came from; return the layer of each weight by its new name.

    A module that owns several weights gives `module.parameter` for each. The file alone does not always give the
    module: a convolution into which a BatchNormalization was folded bears the scope of the normalization.

    Args:
        model: what the exporter wrote.
        parameters: the parameters, by value.
        names: their paths.
        first_paths: the first path to a parameter, by the others.
    """
    found: dict[str, str] = {}
    taken = {str(value.name) for value in _values(model)}
    for value in list(initializers_of(model)):
        path = str(value.name) if value.name in names else _origin(value, parameters)
        if path is None:
            continue
        path = first_paths.get(path, path)
        if path not in taken:
            value.name = path
            taken.add(path)
        if value.const_value is not None and len(value.const_value.shape) > 1:
            found[str(value.name)] = _parametrised(path, names)
    return _layers(found)


def _parametrised(path: str, names: set[str]) -> str:
    """Return the path of the weight that PyTorch makes of the parameter: by a parametrisation, a norm, or a mask."""
    if path.endswith(("weight_v", "weight_g")) and {path[:-1] + "v", path[:-1] + "g"} <= names:
        return path[:-2]
    return _PARAMETRIZED.sub(r"\1", path).removesuffix("_orig")


def _origin(value: ir.Value, parameters: Parameters) -> str | None:
    """Return the path of the parameter whose values the initializer has, or the first of those stacked in it."""
    assert value.const_value is not None
    if value.const_value.size < 2 or value.const_value.dtype not in _FLOATS:
        return None
    near = next((".".join(module_path(user)) for user in value.consumers()), "")
    array = value.const_value.numpy()
    return parameters.named(array, near) or parameters.stacked(array, near)


_FLOATS = (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def _layers(paths: Mapping[str, str]) -> dict[str, str]:
    """Return the name of the layer for each initializer of a weight, from the path of its parameter."""

    def split(path: str) -> tuple[str, str]:
        owner, _, parameter = path.rpartition("/" if "/" in path else ".")
        return owner, parameter

    weights = {name: split(path) for name, path in paths.items() if "bias" not in split(path)[1]}
    owned = Counter(owner for owner, _ in {*weights.values()})
    return {
        name: owner if owner and owned[owner] == 1 and parameter in _MAIN else f"{owner}.{parameter}".lstrip(".")
        for name, (owner, parameter) in weights.items()
    }


def first_paths(module: torch.nn.Module) -> dict[str, str]:
    """Return the path of each parameter that `named_parameters()` gives, by the other paths that lead to it."""
    first: dict[int, str] = {}
    others = {}
    for path, parameter in module.named_parameters(remove_duplicate=False):
        if first.setdefault(id(parameter), path) != path:
            others[path] = first[id(parameter)]
    return others


def keras_variables(model: Any, around: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the variables of a Keras model with their paths in it, those of models inside of it first.

    Keras itself leaves out of a path the names of models that were built by themselves.

    Args:
        model: a Keras model.
        around: the path of the model, with a slash at its end.
    """
    inside: set[int] = set()
    for layer in getattr(model, "layers", ()):
        if isinstance(getattr(layer, "layers", None), list):
            inside.update(map(id, layer.weights))
            yield from keras_variables(layer, f"{around}{layer.name}/")
    for variable in model.weights:
        if id(variable) not in inside:
            _, found, path = f"/{variable.path}".partition(f"/{model.name}/")
            yield around + (path if found else variable.path), variable


def modules_of(model: ir.Model, classes: Mapping[str, str]) -> dict[str, Module]:
    """Return what is known of each module with operators by its path: its class, its line, what was folded into it.

    Args:
        model: what the exporter wrote.
        classes: the class of each module by its path; those that the exporter wrote down are added.
    """
    found: dict[str, Module] = {}
    for node in model.graph.all_nodes():
        named = module_classes(node) | dict(classes)
        owner = ".".join(module_path(node))
        if owner and owner not in found:
            folded = folded_normalization(node)
            found[owner] = Module(class_name=named.get(owner), line=source_line(node), folded=folded)
    return found


def name_inputs(model: ir.Model, names: Sequence[str | None]) -> None:
    """Give inputs the names under which their data stand in X: the exporter writes `batch_ids` for `batch["ids"]`."""
    own = {*model.graph.inputs, *model.graph.initializers.values()}
    others = {str(value.name): value for value in _values(model) if value not in own}
    taken = {str(value.name) for value in own}
    for value, name in zip(model.graph.inputs, names, strict=True):
        if name is not None and name not in taken:
            if name in others:
                others[name].name = str(value.name)
            value.name = name
            taken.add(name)


def name_dimensions(model: ir.Model, stated: Mapping[str, tuple[int | str, ...]], batch_axis: int = 0) -> None:
    """Rename the symbols `s77` and the like: the first axis of all inputs to `batch`, the second to `sequence`.

    Args:
        model: what the exporter wrote; it does not keep the names that torch.export was given.
        stated: names of dimensions by input, which take precedence.
        batch_axis: the axis of the samples; where that is not the first, the first input with so many axes tells.
    """
    for value in _values(model):  # a symbol that the exporter found to be a number stays a symbol of digits
        if value.shape is not None and any(_symbol(dim).isdigit() for dim in value.shape):
            value.shape = ir.Shape(int(_symbol(dim)) if _symbol(dim).isdigit() else dim for dim in value.shape)
    for value in model.graph.inputs:
        for dim, name in zip(value.shape or (), stated.get(str(value.name), ()), strict=False):
            if isinstance(name, str) and _GENERATED.fullmatch(_symbol(dim)):
                _rename_symbol(model, _symbol(dim), name)
    _name_steps(model)
    shapes = [value.shape for value in model.graph.inputs if value.shape and len(value.shape) > batch_axis]
    for axis, name in ((batch_axis, "batch"), (1 - batch_axis, "sequence")):
        telling = shapes[:1] if batch_axis else shapes
        symbols = {_symbol(shape[axis]) for shape in telling if 0 <= axis < len(shape)}
        symbols -= {"", "batch", "sequence"}
        if len(symbols) == 1 and _GENERATED.fullmatch(symbol := symbols.pop()):
            _rename_symbol(model, symbol, name)


def _name_steps(model: ir.Model) -> None:
    """Name the dimensions that a recurrent operator tells apart: steps come first there, then samples.

    A Scan, too, may be one: an LSTM that projects its hidden state.
    """
    for node in model.graph:
        steps = node.inputs[0 if node.op_type in ("LSTM", "GRU", "RNN") else -1] if node.op_type in _RECURRENT else None
        if steps is not None and steps.shape is not None:
            for dim, name in zip(steps.shape, ("sequence", "batch"), strict=False):
                if _GENERATED.fullmatch(_symbol(dim)):
                    _rename_symbol(model, _symbol(dim), name)
            return


def _rename_symbol(model: ir.Model, symbol: str, name: str) -> None:
    word = re.compile(rf"\b{symbol}\b")
    for value in _values(model):
        if value.shape is not None:
            value.shape = ir.Shape(word.sub(name, _symbol(dim)) or dim for dim in value.shape)


def _symbol(dim: int | ir.SymbolicDim) -> str:
    return str(dim.value) if isinstance(dim, ir.SymbolicDim) and dim.value is not None else ""


def _values(model: ir.Model) -> Iterator[ir.Value]:
    yield from model.graph.inputs
    yield from model.graph.initializers.values()
    for node in model.graph.all_nodes():
        yield from node.outputs
