"""Keras on PyTorch: through PyTorch's exporter where that keeps what the author wrote, else rebuilt on TensorFlow."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from wua_onnx.errors import ConversionError

from . import _examples, _keras
from ._base import Draft
from ._keras_inputs import structure_of
from ._keras_rebuild import draft_rebuilt
from ._kinds import Kind
from ._tf_examples import Dims, ordered


def draft_on_torch(model: Any, X: Any, dims: Dims, where: str) -> Draft:
    """Convert a Keras model that stands on PyTorch.

    Raises:
        ConversionError: it cannot be converted, or does not accept X.
        MissingDependency: a package is not installed.
    """
    from .from_pytorch import draft_pytorch

    rebuildable = all(importlib.util.find_spec(package) is not None for package in ("tensorflow", "tf2onnx"))
    only = _only_input(model, X, where)
    if rebuildable and (only is None or _is_mixed(model)):
        return draft_rebuilt(model, X, dims, where)
    try:
        draft, _ = draft_pytorch(Kind.KERAS_MODEL, model, X if only is None else (only,))
    except ConversionError:
        if not rebuildable:
            raise
        return draft_rebuilt(model, X, dims, where)
    return replace(draft, layer_names=_without_cells(model, draft))


def _only_input(model: Any, X: Any, where: str) -> Any:
    """Return the array for the one input of the model; None where it has several, or there is no X.

    PyTorch's exporter takes arguments by position; Keras's models take all of their inputs in one argument.
    """
    structure, declared = structure_of(model, X, where)
    if X is None:
        return None
    if not declared:
        return None if isinstance(structure, dict | tuple) else structure
    if len(model.inputs) > 1:
        return None
    return ordered(_examples.first_block(X), (SimpleNamespace(name=model.inputs[0].name),), where)[0]


def _is_mixed(model: Any) -> bool:
    """Return whether a layer computes in another type than its weights have: PyTorch's exporter rounds these."""
    return any(layer.compute_dtype != layer.variable_dtype for layer in _keras.every_layer(model))


def _without_cells(model: Any, draft: Draft) -> dict[str, str]:
    """Return the names of layers, less the cells of recurrent ones: an LSTM and its cell are one to the author."""
    cells = {layer.cell.name for layer in _keras.every_layer(model) if hasattr(layer, "cell")}

    def shortened(name: str) -> str:
        path, point, parameter = name.partition(".")
        around, _, last = path.rpartition("/")
        return f"{around}{point}{parameter}" if around and last in cells else name

    return {name: shortened(layer) for name, layer in draft.layer_names.items()}
