"""Keras models on JAX: rebuilt on TensorFlow by another process, compared with JAX's own outputs.

The rebuilding itself knows nothing of JAX, and is tested on models that stand on TensorFlow.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from wua_onnx.converters._keras_rebuild import draft_rebuilt
from wua_onnx.errors import ConversionError, MissingDependency

from .shared import samples

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

layers = keras.layers
Array = np.ndarray[Any, Any]
needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs jax: pip install jax")

MINE = """
import keras

class Scaled(keras.layers.Layer):
    def build(self, shape):
        self.by = self.add_weight(shape=(shape[-1], 3), initializer="glorot_normal", name="by")

    def call(self, x):
        return keras.ops.tanh(keras.ops.matmul(x, self.by))

class Mine(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second = Scaled(name="first"), keras.layers.Dense(2, name="second")

    def call(self, x):
        return self.second(self.first(x))
"""


def branches() -> Any:
    """Two inputs by name, two outputs by name, a normalization, and a block with layers of its own."""
    image, vector = keras.Input((6, 5, 2), name="image"), keras.Input((3,), name="vector")
    block = keras.Sequential([keras.Input((7,)), layers.Dense(5, name="inner")], name="block")
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(7, 3, name="conv")(image))
    x = layers.Concatenate()([block(layers.GlobalAveragePooling2D()(x)), vector])
    outputs = {"z": layers.Dense(2, name="z")(x), "a": layers.Dense(4, activation="gelu", name="a")(x)}
    return keras.Model({"image": image, "vector": vector}, outputs, name="net")


def test_a_rebuilt_model_has_names_classes_a_free_batch_and_an_example_to_compare() -> None:
    model, feeds = branches(), {"vector": samples(9, 3), "image": samples(9, 6, 5, 2)}
    draft = draft_rebuilt(model, feeds, {}, "it")
    assert (draft.framework, draft.framework_version, draft.warnings) == ("keras", keras.__version__, ())
    assert {"conv", "block/inner", "z", "a"} <= set(draft.layer_names.values())
    assert draft.modules["block/inner"].class_name == "Dense"
    assert [(v.name, *map(str, v.shape or ())) for v in draft.model.graph.inputs] == [
        ("image", "batch", "6", "5", "2"),
        ("vector", "batch", "3"),
    ]
    assert draft.example is not None
    assert {name: array.shape for name, array in draft.example.feeds.items()} == {
        "image": (5, 6, 5, 2),
        "vector": (5, 3),
    }
    made = model({name: value[:5] for name, value in feeds.items()})
    for got, name in zip(draft.example.outputs, ["a", "z"], strict=True):
        np.testing.assert_allclose(got, made[name], atol=1e-6)
    assert draft.example.layers is not None
    assert {"conv", "norm", "block/inner"} <= {path for path, _ in draft.example.layers()}


def test_x_that_does_not_fit_is_told_from_the_other_process() -> None:
    model = keras.Sequential([keras.Input((5,), name="x"), layers.Dense(3)])
    with pytest.raises(ConversionError, match=r"^it, input 'x': expected float32 \(None, 5\), got float32 \[7, 3\]$"):
        draft_rebuilt(model, samples(7, 3), {}, "it")


def test_a_class_that_no_other_process_can_import_is_named() -> None:
    class Local(keras.layers.Layer):  # type: ignore[misc] # keras is untyped
        def call(self, x: Any) -> Any:
            return x

    model = keras.Sequential([keras.Input((5,)), Local()])
    with pytest.raises(ConversionError, match=r"another process can import, .* got .*Local of .*: put it in a module"):
        draft_rebuilt(model, None, {}, "it")


def test_without_tensorflow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorflow" else find(name))
    with pytest.raises(MissingDependency, match=r"on JAX needs tensorflow, .*wua-onnx\[tensorflow\]"):
        draft_rebuilt(branches(), None, {}, "it")


def test_a_process_that_dies_says_how(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\necho out of luck >&2\nexit 7\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ConversionError, match=r"it: expected .* ended with exit code 7: out of luck"):
        draft_rebuilt(branches(), None, {}, "it")


def test_jax_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A module of that name that cannot be imported stands in for none."""
    code = (
        "import sys; sys.modules['jax'] = None\nfrom wua_onnx.converters import to_onnx\n"
        f"from wua_onnx.errors import ConversionError\nopen({str(tmp_path / 'm.keras')!r}, 'w').close()\n"
        f"try: to_onnx({str(tmp_path / 'm.keras')!r}, {str(tmp_path / 'm.onnx')!r})\n"
        "except ConversionError as error: print(error)"
    )
    done = on_jax(code)
    assert "Keras on its JAX backend: expected the package jax, got none: pip install jax" in done.stdout, done.stderr


def on_jax(code: str, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    command = [sys.executable, *(["-c", code] if code else []), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)


@needs_jax
def test_a_model_on_jax_is_audited(tmp_path: Path) -> None:
    """Layers of the author's own, in a module that the other process imports."""
    (tmp_path / "mine.py").write_text(MINE)
    code = (
        "import keras, numpy as np, wua_onnx as wua\nfrom mine import Mine\n"
        "assert keras.config.backend() == 'jax'\nX = np.random.rand(9, 5).astype('float32')\n"
        "audit = wua.analyze(Mine(name='net'), X)\nmodel = audit.model\n"
        "print(*audit.layers, model['converted_from'].split()[0], model['inputs'][0]['shape'],"
        " model['max_difference'] < 1e-6, audit.to_dict()['recording']['samples'])"
    )
    done = on_jax(code, folder=tmp_path)
    assert done.stdout.strip() == "first second keras ['batch', 5] True 9", done.stderr


@needs_jax
def test_a_keras_file_on_jax_from_the_command_line(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras's own use of NumPy
        branches().save(tmp_path / "net.keras")
    done = on_jax("", "-m", "wua_onnx", "convert", "net.keras", "net.onnx", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "rebuilding net.keras on TensorFlow" in done.stderr
    assert "from keras's outputs" in done.stderr
    assert [i.name for i in onnx.load(tmp_path / "net.onnx").graph.input] == ["image", "vector"]


@needs_jax
def test_a_layer_written_in_jax_is_refused_with_what_to_try(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import keras, jax\n\n"
        "class Mine(keras.layers.Layer):\n    def call(self, x):\n        return jax.numpy.tanh(x)\n"
    )
    code = (
        "import keras; from wua_onnx.converters import to_onnx; from mine import Mine\n"
        "try: to_onnx(keras.Sequential([keras.Input((5,)), Mine()]), 'm.onnx')\nexcept Exception as error: print(error)"
    )
    done = on_jax(code, folder=tmp_path)
    assert "layers of your own have to be written with keras.ops" in done.stdout, done.stderr
