"""Keras on JAX: the model is rebuilt on Keras's TensorFlow backend in a process of its own, and compared with JAX.

Keras's own SavedModel of such a model is made by jax2tf, which from JAX 0.7 on writes one operator with compiled
StableHLO in it (https://docs.jax.dev/en/latest/changelog.html): nothing that tf2onnx could translate. A process has
one backend, so the model goes to another process in a .keras file.
"""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx_ir as ir

from wua_onnx import errors
from wua_onnx.errors import ConversionError, MissingDependency
from wua_onnx.running.messages import Message, receive, send

from . import _examples, _keras
from ._base import Draft, Example, Module
from ._keras_inputs import structure_of
from ._quiet import converting, is_verbose, step
from ._tf_examples import Array, Dims, plain
from ._tf_import import import_package

MODEL, ONNX = "model.keras", "model.onnx"  # the files that the two processes share
_HINT = "a model on JAX is rebuilt on TensorFlow to be converted: layers of your own have to be written with keras.ops"


def draft_rebuilt(model: Any, X: Any, dims: Dims, where: str) -> Draft:
    """Convert a Keras model that stands on JAX, or on any backend.

    Raises:
        ConversionError: it cannot be rebuilt on TensorFlow or converted, or does not accept X.
        MissingDependency: tensorflow or tf2onnx is not installed.
    """
    for package in ("tensorflow", "tf2onnx"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependency(package, "tensorflow", "converting a Keras model that stands on JAX")
    structure = _built(model, X, where)
    classes = _classes_of_others(model, where)
    with tempfile.TemporaryDirectory(prefix="wua_onnx_") as folder:
        step(f"rebuilding {where} on TensorFlow")
        with converting(where, "a model that Keras can save"):
            model.save(Path(folder) / MODEL)
        answer = _asked(Path(folder), _request(X, dims, where, classes), where)
        rebuilt = ir.load(Path(folder) / ONNX)
        ir.external_data.load_to_model(rebuilt)
    fields = answer.fields
    return Draft(
        model=rebuilt,
        framework="keras",
        framework_version=str(import_package("keras").__version__),
        layer_names=fields["layer_names"],
        example=_example(model, structure, X, answer, where) if fields["ran"] else None,
        warnings=tuple(fields["warnings"]),
        modules={
            path: Module(class_name=known.get("class"), line=None, folded=known.get("folded"))
            for path, known in fields["modules"].items()
        },
    )


def _built(model: Any, X: Any, where: str) -> Any:
    """Return how the inputs of the model are nested; one that was never built is built, by running it on X."""
    keras = import_package("keras")
    structure, declared = structure_of(model, X, where)
    if not declared:
        few = keras.tree.map_structure(lambda value: _examples.as_array(value)[:1], structure)
        with converting(where, "a model that accepts its inputs"):
            model(few, training=False)
    return structure


def _classes_of_others(model: Any, where: str) -> list[tuple[str, str]]:
    """Return the module and the name of each class of layers that is not Keras's own.

    Raises:
        ConversionError: one is where another process cannot find it.
    """
    found = sorted({(type(layer).__module__, type(layer).__qualname__) for layer in _keras.every_layer(model)})
    others = [(module, name) for module, name in found if module.partition(".")[0] != "keras" or name == "Lambda"]
    for module, name in others:
        if module == "__main__" or "<locals>" in name:
            raise ConversionError(
                f"{where}: expected classes of layers that another process can import, since a model on JAX is "
                f"converted by rebuilding it on TensorFlow, got {name} of {module}: put it in a module of its own"
            )
    return others


def _request(X: Any, dims: Dims, where: str, classes: list[tuple[str, str]]) -> Message:
    block = None if X is None else _examples.first_block(X)
    named = isinstance(block, dict)
    values = {} if block is None else block if isinstance(block, dict) else {str(i): v for i, v in enumerate(block)}
    return Message(
        {
            "given": block is not None,
            "named": named,
            "dims": dict(dims),
            "where": where,
            "classes": classes,
            "verbose": is_verbose(),
        },
        {name: _examples.as_array(value) for name, value in values.items()},
    )


def _asked(folder: Path, request: Message, where: str) -> Message:
    """Have another process rebuild and convert the model in `folder`; return its answer.

    Raises:
        WuaError: what the process raised.
        ConversionError: it ended without an answer.
    """
    sent = io.BytesIO()
    send(sent, request)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "wua_onnx.converters._keras_worker", str(folder)],
        input=sent.getvalue(),
        stdout=subprocess.PIPE,
        stderr=None if is_verbose() else subprocess.PIPE,
        env={
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "CUDA_VISIBLE_DEVICES": "-1",  # JAX holds the memory of the GPU
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        },
        check=False,
    )
    try:
        answer = receive(io.BytesIO(done.stdout))
    except EOFError:
        printed = (done.stderr or b"").decode(errors="replace").strip()[-1_000:]
        raise ConversionError(
            f"{where}: expected a model that Keras can rebuild on TensorFlow, got a process that ended with exit code "
            f"{done.returncode}{': ' if printed else ''}{printed}"
        ) from None
    if "error" in answer.fields:
        kind = getattr(errors, answer.fields["error"], ConversionError)
        known = isinstance(kind, type) and issubclass(kind, errors.WuaError) and kind is not MissingDependency
        hint = f" ({_HINT})" if request.fields["classes"] else ""
        message, *printed = answer.fields["message"].partition("\n")
        raise (kind if known else ConversionError)("".join((message, hint, *printed)))
    return answer


def _example(model: Any, structure: Any, X: Any, answer: Message, where: str) -> Example:
    """Return what the model makes on JAX of the arrays that the other process chose."""
    keras = import_package("keras")
    arrays: list[Array] = [answer.arrays[name] for name in answer.fields["inputs"]]
    with converting(where, "a model that accepts its inputs"):
        made = model(keras.tree.pack_sequence_as(structure, arrays), training=False)
        outputs = tuple(plain(output) for output in keras.tree.flatten(made))
    narrow = answer.fields["narrow"]
    wide = tuple(answer.arrays[f"wide {number}"] for number in range(answer.fields["wide"]))
    return Example(
        feeds={name: answer.arrays[key] for name, key in answer.fields["feeds"].items()},
        outputs=outputs,
        layers=_keras.outputs_of_layers(model, X, arrays),
        wide=(lambda: wide) if wide else None,
        narrow=None if narrow is None else ir.DataType[narrow],
        sizes={path: (name, tuple(shape)) for path, (name, shape) in answer.fields["sizes"].items()},
    )
