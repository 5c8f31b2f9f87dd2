"""What of Keras and TensorFlow is refused, and in which words."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wua_onnx.converters import to_onnx
from wua_onnx.errors import ConversionError

from .shared import samples, saved

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras
    import tensorflow as tf

layers = keras.layers
Array = np.ndarray[Any, Any]


def test_function_without_signature_needs_x(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="expected an input_signature, or X"):
        to_onnx(tf.function(lambda x: x), tmp_path / "m.onnx")


def test_saved_model_without_the_default_signature_lists_its_own(tmp_path: Path) -> None:
    module = tf.Module()
    function = tf.function(lambda x: x + 1, input_signature=[tf.TensorSpec([None, 5])])
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"score": function, "embed": function})
    with pytest.raises(ConversionError, match=r"expected the signature 'serving_default', got .* embed, score"):
        to_onnx(tmp_path / "saved", tmp_path / "m.onnx")


def test_saved_model_of_a_program_compiled_by_jax_says_what_to_convert(tmp_path: Path) -> None:
    """What Keras on JAX exports: one operator, named in the file, with the whole program in it."""
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01XlaCallModule")
    with pytest.raises(ConversionError, match="got one with a program that JAX has compiled: convert the Keras model"):
        to_onnx(tmp_path, tmp_path / "m.onnx")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_file_with_a_lambda_is_refused(tmp_path: Path, suffix: str) -> None:
    model = keras.Sequential([keras.Input((5,)), layers.Lambda(lambda x: x * 2)])
    file = saved(model, tmp_path / f"m{suffix}")
    target = tmp_path / "m.onnx"
    target.write_text("old")
    with pytest.raises(ConversionError, match=r"without running code .*, got a Lambda layer.*safe_mode=False"):
        to_onnx(file, target)
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([file.name, "m.onnx"])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (samples(9, 5, 5, 3), r"input 'image': expected float32 \(None, 5, 5, 2\), got float32 \[9, 5, 5, 3\]"),
        ({"image": samples(9, 5, 5, 2), "mask": samples(9, 5)}, "expected inputs image, got image, mask"),
        ((samples(9, 5), samples(9, 5), samples(9, 5)), r"expected 1 inputs \(image\), got 3"),
    ],
    ids=["shape", "name", "number"],
)
def test_bad_x(tmp_path: Path, X: Any, message: str) -> None:
    model = keras.Sequential([keras.Input((5, 5, 2), name="image"), layers.Flatten(), layers.Dense(3)], name="net")
    with pytest.raises(ConversionError, match=message):
        to_onnx(model, tmp_path / "m.onnx", X)


def test_operator_without_equivalent_is_named_with_its_layer(tmp_path: Path) -> None:
    class Odd(keras.layers.Layer):  # type: ignore[misc] # keras is untyped
        def call(self, x: Any) -> Any:
            return tf.math.lgamma(x)

    model = keras.Sequential([keras.Input((5,)), Odd(name="strange")])
    with pytest.raises(ConversionError, match="got Lgamma in strange"):
        to_onnx(model, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_random_numbers_are_refused_with_what_to_convert(tmp_path: Path) -> None:
    class Sampling(keras.layers.Layer):  # type: ignore[misc] # keras is untyped
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.generator = keras.random.SeedGenerator(0)

        def call(self, x: Any) -> Any:
            return x + keras.random.normal(keras.ops.shape(x), seed=self.generator)

    model = keras.Sequential([keras.Input((5,)), layers.Dense(3), Sampling(name="z")])
    with pytest.raises(ConversionError, match=r"StatelessRandomNormalV2 in z/.* \(random numbers, which no two runs"):
        to_onnx(model, tmp_path / "m.onnx")


@pytest.mark.parametrize(("name", "data"), [("m.keras", b"no zip"), ("m.h5", b"no HDF5"), ("m.tflite", b"")])
def test_damaged_files(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ConversionError, match=rf"{name}: expected .*, got"):
        to_onnx(tmp_path / name, tmp_path / "m.onnx")


def test_samples_along_an_axis_that_is_not_free_are_refused(tmp_path: Path) -> None:
    """A function without a signature is traced for a free first axis."""
    function = tf.function(lambda x: tf.reduce_sum(x, 0))
    message = r"expected an input that leaves axis 1 free, .* got x \[None, 11, 5\]: the first axis is the batch"
    with pytest.raises(ConversionError, match=message):
        to_onnx(function, tmp_path / "m.onnx", samples(7, 11, 5), batch_axis=1)
    free = tf.function(function, input_signature=[tf.TensorSpec([7, None, 5], name="x")])
    assert to_onnx(free, tmp_path / "m.onnx", samples(7, 11, 5), batch_axis=1).max_difference is not None


class Doubled(keras.layers.Layer):  # type: ignore[misc] # keras is untyped
    def call(self, x: Any) -> Any:
        return x * 2


def squared(x: Any) -> Any:
    return x * x


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", ["Doubled", "squared"])
def test_what_is_not_in_a_file_is_named(tmp_path: Path, name: str, suffix: str) -> None:
    part = Doubled() if name == "Doubled" else layers.Dense(3, activation=squared)
    path = saved(keras.Sequential([keras.Input((5,)), part]), tmp_path / f"m{suffix}")
    with pytest.raises(ConversionError, match=rf"got one with '{name}', .*custom_objects={{'{name}': {name}}}"):
        to_onnx(path, tmp_path / "m.onnx")


def test_weights_alone_need_a_factory(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras's own use of NumPy
        keras.Sequential([keras.Input((5,)), layers.Dense(3)]).save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ConversionError, match="got weights alone: name it with --factory"):
        to_onnx(tmp_path / "m.weights.h5", tmp_path / "m.onnx")


@pytest.mark.parametrize("kind", ["words", "sentences"])
def test_text_is_refused_with_what_to_convert(tmp_path: Path, kind: str) -> None:
    if kind == "words":
        part = layers.StringLookup(vocabulary=["a", "b"], name=kind)
    else:
        part = layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=3, name=kind)
    model = keras.Sequential([keras.Input((), dtype="string"), part, layers.Embedding(4, 3)])
    message = rf"got .*LookupTableFindV2 in {kind}.* \(text: convert the part of the model behind it"
    with pytest.raises(ConversionError, match=message):
        to_onnx(model, tmp_path / "m.onnx")
