"""Keras: loading its files without running code, tracing its models, and whose scope is whose."""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from wua_onnx.errors import ConversionError

from ._base import Module
from ._check import Layers
from ._factory import build
from ._keras_inputs import inputs_of, structure_of
from ._quiet import converting, step
from ._tf_examples import Array, plain
from ._tf_functions import Traced, traced
from ._tf_import import import_package

_UNKNOWN = re.compile(r"(?:Could not locate (?:class|function)|Unknown (?:layer|object|[a-z]+ function):) '?(\w+)")


def load(path: Path, factory: str | None = None) -> Any:
    """Return the model in a .keras or .h5 file; `factory` builds it where the file holds weights alone.

    Raises:
        ConversionError: the file is damaged, or holds a layer that is code (`Lambda`) or of a class of its author's.
    """
    keras = import_package("keras")
    if path.suffix.lower() == ".keras" and not zipfile.is_zipfile(path):
        raise ConversionError(f"{path}: expected the zip archive that Keras writes, got something else")
    if factory is not None:
        model = build(factory)
        with converting(str(path), f"the weights of {factory}"):
            model.load_weights(path)
        return model
    try:
        with converting(str(path), "a model made of Keras's own layers"):
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except ConversionError as error:
        said = str(error.__cause__)
        if "No model config found" in said:
            raise ConversionError(
                f"{path}: expected the function that builds the model as well, got weights alone: "
                "name it with --factory mypkg.models:build (in Python: factory='mypkg.models:build')"
            ) from error
        name = next((match[1] for match in _UNKNOWN.finditer(said)), None)
        if name is not None:
            raise ConversionError(
                f"{path}: expected a model made of Keras's own layers, got one with {name!r}, a class or function "
                "whose code is not in the file. To try: import it, load the file with keras.saving.load_model(path, "
                f"custom_objects={{{name!r}: {name}}}) and pass the model"
            ) from error
        if "lambda" not in str(error).lower():
            raise
        raise ConversionError(
            f"{path}: expected layers that can be rebuilt without running code from the file, got a Lambda layer. "
            "If you trust the file, which can then run anything, load it with "
            "keras.saving.load_model(path, safe_mode=False) and pass the model"
        ) from error


def backend() -> str:
    """Return the name of the backend on which Keras stands in this process."""
    return str(import_package("keras").config.backend())


def trace(model: Any, X: Any, where: str) -> tuple[Traced, dict[str, str]]:
    """Return the graph of a Keras model in inference, with a free batch, and the layer that owns each name scope.

    A model without inputs of its own (a subclass, a Sequential that was never built) is traced for those of X.

    Raises:
        ConversionError: the inputs are not known, or the model cannot be traced.
    """
    tf, keras = import_package("tensorflow"), import_package("keras")
    step(f"tracing {where}")
    structure, specs = inputs_of(model, X, where)

    def call(*flat: Any) -> Any:
        return model(keras.tree.pack_sequence_as(structure, flat), training=False)

    sizes: dict[str, tuple[str, tuple[int | None, ...]]] = {}
    with converting(where, "a model that can be traced"), _recording(model, sizes) as scopes, _without_xla(tf):
        function = tf.function(call, input_signature=specs).get_concrete_function()
    found = traced(function, holder=model)
    names = getattr(model, "output_names", None) or [layer.name for layer in getattr(model, "layers", [])[-1:]]
    paths = _paths(scopes)
    sizes = {paths[scope]: made for scope, made in sizes.items() if paths.get(scope)}
    return replace(found, outputs=tuple(names), sizes=sizes), paths


@contextlib.contextmanager
def _without_xla(tf: Any) -> Iterator[None]:
    """Trace what Keras would compile with XLA (grouped convolutions) as plain operators.

    A compiled function stays a call in the graph, which tf2onnx cannot look into.
    """
    function = tf.function

    def plain(*args: Any, jit_compile: bool | None = None, **options: Any) -> Any:
        return function(*args, **options)

    tf.function = plain
    try:
        yield
    finally:
        tf.function = function


def every_layer(model: Any) -> Iterator[Any]:
    """Yield the model and every layer in it, at any depth, once."""
    seen: set[int] = set()
    pending = [model]
    while pending:
        layer = pending.pop()
        if id(layer) not in seen:
            seen.add(id(layer))
            yield layer
            pending.extend(layer._flatten_layers(include_self=False, recursive=False))


@contextlib.contextmanager
def _recording(model: Any, sizes: dict[str, tuple[str, tuple[int | None, ...]]]) -> Iterator[dict[str, str]]:
    """Collect, while the model is traced, the name of the layer that ran in each name scope.

    `sizes` receives the name and the shape of what it made there, where that is one tensor.

    TensorFlow makes scopes unique by numbers (`dense_1` becomes `dense_1_1`), so a scope alone does not tell. Each
    layer's `call` is wrapped for the time of the trace.
    """
    tf = import_package("tensorflow")
    scopes: dict[str, str] = {}
    # An LSTM layer and its cell are one layer to its author.
    cells = {id(layer.cell) for layer in every_layer(model) if hasattr(layer, "cell")}

    def wrapped(layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*args: Any, **kwargs: Any) -> Any:
            scope = tf.get_current_name_scope()
            scopes.setdefault(scope, "" if id(layer) in cells else layer.name)
            output = call(*args, **kwargs)
            if isinstance(output, tf.Tensor) and output.shape.rank is not None and id(layer) not in cells:
                sizes[scope] = output.name, tuple(output.shape)
            return output

        return recorded

    with _wrapping(model, wrapped):
        yield scopes


def _paths(scopes: dict[str, str]) -> dict[str, str]:
    """Return the path of layer names for each scope: that of the nearest scope around it, then its own.

    The outermost one, the model itself, has the empty path.
    """
    paths: dict[str, str] = {}
    for scope in sorted(scopes, key=lambda scope: scope.count("/")):
        parts = scope.split("/")
        around = ("/".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
        parent = next((paths[outer] for outer in around if outer in paths), None)
        paths[scope] = "" if parent is None else f"{parent}/{scopes[scope]}".strip("/")
    return paths


def modules(model: Any, scopes: dict[str, str]) -> dict[str, Module]:
    """Return the class of each layer by its path; `scopes` are those that `trace` returned."""
    classes = {layer.name: type(layer).__qualname__ for layer in every_layer(model)}
    names = {path: path.rpartition("/")[2] for path in scopes.values() if path}
    return {path: Module(class_name=classes[name], line=None) for path, name in names.items() if name in classes}


def outputs_of_layers(model: Any, X: Any, arrays: list[Array]) -> Callable[[], Layers]:
    """Return a function that runs the model on the arrays and returns the output of each layer that makes one tensor.

    The first layer to end comes first; layers are named by their path.
    """

    def run() -> Layers:
        keras = import_package("keras")
        structure, _ = structure_of(model, X, "")
        made: dict[str, Array] = {}
        stack: list[str] = []

        def wrapped(layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
            def recorded(*args: Any, **kwargs: Any) -> Any:
                stack.append("" if layer is model else layer.name)
                output = call(*args, **kwargs)
                path = "/".join(filter(None, stack))
                stack.pop()
                if path and hasattr(output, "shape"):
                    made.pop(path, None)
                    made[path] = plain(output)
                return output

            return recorded

        with _wrapping(model, wrapped):
            model(keras.tree.pack_sequence_as(structure, arrays), training=False)
        return list(made.items())

    return run


@contextlib.contextmanager
def _wrapping(model: Any, wrapped: Callable[[Any, Any], Any]) -> Iterator[None]:
    """Replace the `call` of every layer by `wrapped(layer, call)` for the body."""
    layers = [layer for layer in every_layer(model) if "call" not in vars(layer)]
    try:
        for layer in layers:
            vars(layer)["call"] = wrapped(layer, layer.call)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("call", None)
