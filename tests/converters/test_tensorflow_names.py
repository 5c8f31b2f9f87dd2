"""Layers of TensorFlow models without Keras bear the names of their variables, or of the scopes that are left."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wua_onnx as wua

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

layers = keras.layers
Array = np.ndarray[Any, Any]
X = np.random.default_rng(0).standard_normal((11, 5)).astype(np.float32)
IMAGES = np.random.default_rng(0).standard_normal((11, 9, 7, 3)).astype(np.float32)


class Plain(tf.Module):  # type: ignore[misc] # tensorflow is untyped
    """Variables of its own, named as an exporter might name a value."""

    def __init__(self) -> None:
        super().__init__()
        generator = tf.random.Generator.from_seed(0)
        self.w = tf.Variable(generator.normal((5, 7)), name="w")
        self.w2 = tf.Variable(generator.normal((7, 3)), name="w2")

    @tf.function(input_signature=[tf.TensorSpec((None, 5), tf.float32)])  # type: ignore[untyped-decorator] # likewise
    def __call__(self, x: Any) -> Any:
        return tf.nn.relu(x @ self.w) @ self.w2


@pytest.mark.parametrize("saved", [False, True])
def test_variables_of_a_module(tmp_path: Path, saved: bool) -> None:
    module: Any = Plain()
    if saved:
        tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.__call__)
        module = tmp_path / "saved"
    assert list(wua.analyze(module, X).layers) == ["w", "w2"]


@pytest.fixture(scope="module")
def normed() -> Any:
    """A convolution that takes in the scale of a normalisation, and a dense layer."""
    keras.utils.set_random_seed(0)
    parts = [
        keras.Input((9, 7, 3)),
        layers.Conv2D(5, 3, name="stem"),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2, name="last"),
    ]
    model = keras.Sequential(parts, name="net")
    model.layers[1].set_weights([np.random.default_rng(n).uniform(0.5, 1.5, 5) for n in range(4)])
    return model


def test_a_frozen_graph(normed: Any, tmp_path: Path) -> None:
    function = tf.function(lambda x: normed(x)).get_concrete_function(tf.TensorSpec((None, 9, 7, 3)))
    graph = convert_variables_to_constants_v2(function).graph
    (tmp_path / "m.pb").write_bytes(graph.as_graph_def().SerializeToString())
    assert list(wua.analyze(tmp_path / "m.pb", IMAGES).layers) == ["stem", "last"]


@pytest.mark.parametrize("kind", ["float", "half", "quantized"])
def test_tensorflow_lite(normed: Any, tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    converter = tf.lite.TFLiteConverter.from_keras_model(normed)
    if kind != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "half":
        converter.target_spec.supported_types = [tf.float16]
    (tmp_path / "m.tflite").write_bytes(converter.convert())
    assert list(wua.analyze(tmp_path / "m.tflite", IMAGES).layers) == ["stem", "last"]


class Pair(keras.Model):  # type: ignore[misc] # keras is untyped
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = layers.Dense(3, name="left"), layers.Dense(3, name="right")

    def call(self, inputs: Any) -> Any:
        return self.left(inputs["one"]) + self.right(inputs["two"])


def test_a_subclass_with_inputs_by_name() -> None:
    audit = wua.analyze(Pair(), {"two": X[:, :4], "one": X, "label": np.arange(11)})
    assert {entry["name"] for entry in audit.model["inputs"]} == {"one", "two"}
    assert list(audit.layers) == ["left", "right"]


class Single(keras.Model):  # type: ignore[misc] # keras is untyped
    def __init__(self) -> None:
        super().__init__()
        self.last = layers.Dense(3, name="last")

    def call(self, x: Any) -> Any:
        return self.last(x)


@pytest.mark.parametrize("built", [False, True])
def test_what_a_dataset_has_beside_the_input_of_a_subclass_is_labels(built: bool) -> None:
    model = Single()
    if built:
        model(X)
    audit = wua.analyze(model, tf.data.Dataset.from_tensor_slices((X, np.arange(11) % 3)).batch(4))
    assert audit.to_dict()["recording"]["samples"] == 11
