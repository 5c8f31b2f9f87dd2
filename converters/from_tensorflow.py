"""Keras and TensorFlow: models, files and functions, through tf2onnx.

https://github.com/onnx/tensorflow-onnx
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from wua_onnx.errors import ConversionError

from . import _keras, _tf_functions
from ._base import Draft, Example, Module
from ._check import Layers
from ._factory import Recipe
from ._kinds import Kind
from ._quiet import converting
from ._tf_examples import Array, Dims, arrays_for, plain
from ._tf_functions import Traced
from ._tf_graph import check_operators, narrow, translate
from ._tf_import import import_package
from ._tf_lite import draft_tflite
from ._tf_names import name_dimensions, name_inputs, name_outputs, rename, scopes_of_nodes, scopes_of_variables


def draft_tensorflow(kind: Kind, recipe: Recipe, X: Any, dims: Dims) -> tuple[Draft, str]:
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
    if kind is Kind.FROZEN_GRAPH:
        traced = _tf_functions.from_frozen_graph(model, recipe.inputs, recipe.outputs)
        return _draft(traced, None, X, dims, str(model)), str(model)
    if kind is Kind.SAVED_MODEL:
        return _draft(_tf_functions.from_saved_model(model, recipe.signature), None, X, dims, str(model)), str(model)
    if kind in (Kind.TF_FUNCTION, Kind.TF_MODULE):
        where = f"{kind.value.removeprefix('a ')} {getattr(model, 'name', None) or type(model).__name__}"
        find = _tf_functions.from_function if kind is Kind.TF_FUNCTION else _tf_functions.from_module
        return _draft(find(model, X, where), None, X, dims, where), where
    where = str(model) if kind is Kind.KERAS_FILE else f"Keras model {model.name!r}"
    if kind is Kind.KERAS_FILE:
        model = _keras.load(model, recipe.factory)
    traced, scopes = _keras.trace(model, X, where)
    classes = _keras.modules(model, scopes)
    return _draft(traced, scopes, X, dims, where, partial(_keras.outputs_of_layers, model, X), classes), where


def _draft(
    traced: Traced,
    scopes: dict[str, str] | None,
    X: Any,
    dims: Dims,
    where: str,
    layers_of: Callable[[list[Array]], Callable[[], Layers]] | None = None,
    modules: dict[str, Module] | None = None,
) -> Draft:
    model, cautions = translate(traced, where)
    name_inputs(model)
    if scopes is None:
        scopes_found = scopes_of_variables(model, traced.variables) if traced.variables else scopes_of_nodes(model)
    layers = rename(model, scopes_found if scopes is None else scopes, traced.variables)
    check_operators(model, where)
    arrays = arrays_for(traced.specs, X, dims, where)
    try:
        outputs = _run(traced, arrays, where)
    except ConversionError as error:
        if X is not None:
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
        layers_run = layers_of(arrays) if layers_of is not None else None
        example = Example(feeds=feeds, outputs=outputs, layers=layers_run, narrow=narrow(traced), sizes=traced.sizes)
    return Draft(
        model=model,
        framework="keras" if scopes is not None else "tensorflow",
        framework_version=str(import_package("keras" if scopes is not None else "tensorflow").__version__),
        layer_names=layers,
        example=example,
        warnings=cautions,
        modules=modules or {},
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
