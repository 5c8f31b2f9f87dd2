"""Keras and TensorFlow: models, files and functions, through tf2onnx.

https://github.com/onnx/tensorflow-onnx
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from wua_onnx.errors import ConversionError

from . import _keras, _tf_functions
from ._base import Draft, Example, Module
from ._check import Layers
from ._factory import Recipe
from ._keras_rebuild import draft_rebuilt
from ._keras_torch import draft_on_torch
from ._kinds import Kind
from ._quiet import converting
from ._tf_convolutions import pad_outputs, straighten
from ._tf_examples import Array, Dims, arrays_for, plain
from ._tf_functions import Traced
from ._tf_graph import check_operators, narrow, translate
from ._tf_import import import_package
from ._tf_interface import name_dimensions, name_inputs, name_outputs
from ._tf_layers import layers_made
from ._tf_lite import draft_tflite
from ._tf_names import (
    rename,
    scopes_of_nodes,
    scopes_of_variables,
    with_folded,
)
from ._tf_norms import gather_groups
from ._tf_selections import cut_patches
from ._tf_wide import is_narrow, outputs_in_float32
from ._trace import tie


def draft_tensorflow(kind: Kind, recipe: Recipe, X: Any, dims: Dims, batch_axis: int = 0) -> tuple[Draft, str]:
    """Convert a Keras model or file, a SavedModel folder, a tf.function or a tf.Module, and return it with its name.

    Raises:
        ConversionError: it cannot be converted, does not accept X, or has no free dimension along `batch_axis`.
        MissingDependency: tensorflow, keras or tf2onnx is not installed.
    """
    draft, where = _drafted(kind, recipe, X, dims)
    if batch_axis:
        _check_free(draft.model, batch_axis, where)
    return draft, where


def _check_free(model: ir.Model, axis: int, where: str) -> None:
    """Refuse a model of which no input leaves `axis` free."""
    shapes = {str(value.name): value.shape for value in model.graph.inputs if value.shape is not None}
    sizes = [shape[axis] for shape in shapes.values() if len(shape) > axis]
    if not any(isinstance(size, ir.SymbolicDim) for size in sizes):
        found = ", ".join(
            f"{name} {[size if isinstance(size, int) else None for size in shape]}" for name, shape in shapes.items()
        )
        raise ConversionError(
            f"{where}: expected an input that leaves axis {axis} free, along which batch_axis says that samples "
            f"lie, got {found}: the first axis is the batch of TensorFlow's models, unless a signature leaves another "
            "one free"
        )


def _drafted(kind: Kind, recipe: Recipe, X: Any, dims: Dims) -> tuple[Draft, str]:
    """Convert a Keras model or file, a SavedModel folder, a tf.function or a tf.Module.

    Returns the draft with the name that messages use for it. A SavedModel is a program made of TensorFlow's
    operators, and comparing outputs runs it.

    Raises:
        ConversionError: it cannot be converted, or does not accept X.
        MissingDependency: tensorflow, keras or tf2onnx is not installed.
    """
    model = recipe.model
    if kind is Kind.TFLITE_FILE:
        return draft_tflite(model, X, dims), str(model)
    if kind is Kind.KERAS_MODEL:
        where = f"Keras model {model.name!r}"
        return draft_keras(model, X, dims, where), where
    where = str(model)
    if kind is Kind.KERAS_FILE:
        return draft_keras(_keras.load(model, recipe.factory), X, dims, where), where
    if kind is Kind.FROZEN_GRAPH:
        traced = _tf_functions.from_frozen_graph(model, recipe.inputs, recipe.outputs)
    elif kind is Kind.SAVED_MODEL:
        traced = _tf_functions.from_saved_model(model, recipe.signature)
    else:
        name = getattr(model, "name", None) or type(model).__name__
        name = name.decode() if isinstance(name, bytes) else name  # of a concrete function
        where = f"{kind.value.removeprefix('a ')} {name}"
        find = _tf_functions.from_function if kind is Kind.TF_FUNCTION else _tf_functions.from_module
        traced = find(model, X, where)
    return _draft(traced, None, arrays_for(traced.specs, X, dims, where), X is not None, where), where


def draft_keras(model: Any, X: Any, dims: Dims, where: str) -> Draft:
    """Convert a Keras model on whichever backend it stands.

    Raises:
        ConversionError: it cannot be converted, or does not accept X.
        MissingDependency: a package is not installed.
    """
    backend = _keras.backend()
    if backend == "torch":
        return draft_on_torch(model, X, dims, where)
    if backend == "jax":
        return draft_rebuilt(model, X, dims, where)
    if backend != "tensorflow":
        raise ConversionError(
            f"{where}: expected Keras on its TensorFlow, PyTorch or JAX backend, got {backend!r}: save the model as "
            "a .keras file and convert that with KERAS_BACKEND=tensorflow"
        )
    return draft_on_tensorflow(model, X, dims, where)[0]


def draft_on_tensorflow(model: Any, X: Any, dims: Dims, where: str) -> tuple[Draft, list[Array]]:
    """Convert a Keras model that stands on TensorFlow; return it with the arrays that it was run on.

    Raises:
        ConversionError: it cannot be converted, or does not accept X.
        MissingDependency: tensorflow or tf2onnx is not installed.
    """
    traced, scopes = _keras.trace(model, X, where)
    arrays = arrays_for(traced.specs, X, dims, where)
    layers = _keras.outputs_of_layers(model, X, arrays)
    return _draft(traced, scopes, arrays, X is not None, where, layers, _keras.modules(model, scopes)), arrays


def _draft(
    traced: Traced,
    scopes: dict[str, str] | None,
    arrays: list[Array],
    given: bool,
    where: str,
    layers_run: Callable[[], Layers] | None = None,
    modules: dict[str, Module] | None = None,
) -> Draft:
    """Return a traced function in ONNX.

    Args:
        traced: the function.
        scopes: the layer that owns each name scope, where Keras told; guessed from names where None.
        arrays: what it is run on to compare outputs.
        given: whether these come from the user, so that they must fit.
        where: the name of the model in messages.
        layers_run: what returns the outputs of layers, for `Example`.
        modules: what is known of each layer.
    """
    translated = translate(traced, where)
    model, cautions, sizes = translated.model, translated.cautions, traced.sizes
    name_inputs(model)
    cut_patches(model)
    pad_outputs(model)
    straighten(model)
    gather_groups(model, traced.function.graph)
    RemoveUnusedNodesPass()(model)
    tie(model)
    if scopes is None:
        scopes_found = scopes_of_variables(model, traced.variables) if traced.variables else scopes_of_nodes(model)
        if translated.frozen is not None:
            sizes, layers_run = layers_made(translated.frozen, traced, scopes_found, arrays, where)
    layers = rename(model, scopes_found if scopes is None else scopes, traced.variables, traced.reads)
    check_operators(model, where)
    try:
        outputs = _run(traced, arrays, where)
    except ConversionError as error:
        if given:
            raise
        outputs = None
        cautions += (f"the outputs were not compared: random inputs of the declared shapes fail: {error}",)
    samples = next((array.shape[0] for array in arrays if array.ndim), None)
    name_dimensions(model, samples, [array.shape for array in outputs or ()])
    name_outputs(model, traced.outputs)
    names = {str(value.name) for value in model.graph.inputs}
    feeds = {spec.name: array for spec, array in zip(traced.specs, arrays, strict=True) if spec.name in names}
    example = None
    if outputs is not None:
        exact = translated.frozen is not None and is_narrow(traced)
        wide = outputs_in_float32(translated.frozen, traced, arrays, where) if exact else None
        example = Example(
            feeds=feeds, outputs=outputs, layers=layers_run, wide=wide, narrow=narrow(traced), sizes=sizes
        )
    return Draft(
        model=model,
        framework="keras" if scopes is not None else "tensorflow",
        framework_version=str(import_package("keras" if scopes is not None else "tensorflow").__version__),
        layer_names=layers,
        example=example,
        warnings=cautions,
        modules=with_folded(model, layers, modules or {}, traced.variables),
    )


def _run(traced: Traced, arrays: list[Array], where: str) -> tuple[Array, ...]:
    """Return what TensorFlow itself makes of the arrays, in the order of the graph's outputs."""
    tf = import_package("tensorflow")
    left = iter(arrays)
    args, kwargs = tf.nest.map_structure(
        lambda leaf: tf.constant(next(left)) if isinstance(leaf, tf.TensorSpec) else leaf,
        traced.function.structured_input_signature or (traced.specs, {}),
    )
    shapes = ", ".join(f"{array.dtype} {list(array.shape)}" for array in arrays)
    with converting(f"{where} on {shapes}", "a model that accepts its inputs"):
        return tuple(plain(made) for made in tf.nest.flatten(traced.function(*args, **kwargs)))
