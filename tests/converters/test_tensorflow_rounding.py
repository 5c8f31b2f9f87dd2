"""How far a converted model may differ follows from the rounding of the one it was made of: a wrong weight shows."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from wua_onnx.converters import _tf_graph, _tf_lite, _tf_names, from_tensorflow, to_onnx
from wua_onnx.errors import ConversionError

from .shared import samples, saved

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras
    import tensorflow as tf

layers = keras.layers
Array = np.ndarray[Any, Any]
POLICIES = ["mixed_float16", "mixed_bfloat16"]


def mlp() -> Any:
    parts = [layers.Dense(17, activation="relu", name=name) for name in ("a", "b")]
    return keras.Sequential([keras.Input((13,)), *parts, layers.Dense(3, name="last")])


def recurrent() -> Any:
    """Its operators lie in the body of a loop."""
    return keras.Sequential([keras.Input((7, 5)), layers.GRU(11), layers.Dense(3, name="last")])


def vanishing() -> Any:
    """What comes out lies where float16 has no more than a few steps: one of them is much of the largest value."""
    small = keras.initializers.RandomUniform(-0.003, 0.003, seed=0)
    parts = [layers.Dense(17, kernel_initializer=small, name=name) for name in ("a", "b", "c")]
    return keras.Sequential([keras.Input((13,)), *parts])


MODELS = {"mlp": (mlp, (9, 13)), "recurrent": (recurrent, (9, 7, 5)), "vanishing": (vanishing, (9, 13))}


def narrow(name: str, policy: str) -> tuple[Any, Array]:
    keras.utils.set_random_seed(0)
    keras.mixed_precision.set_global_policy(policy)
    build, shape = MODELS[name]
    try:
        return build(), samples(*shape)
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", MODELS)
def test_half_precision_may_differ_by_its_own_rounding(tmp_path: Path, name: str, policy: str) -> None:
    model, x = narrow(name, policy)
    converted = to_onnx(model, tmp_path / "m.onnx", x)
    assert converted.max_difference is not None
    assert converted.max_difference < 0.01 or name == "vanishing"


@pytest.mark.parametrize("form", ["model", "SavedModel"])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_weight_that_is_wrong_by_a_few_percent_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, form: str
) -> None:
    def wrong(traced: Any, where: str) -> Any:
        translated = _tf_graph.translate(traced, where)
        kernel = next(v for v in translated.model.graph.initializers.values() if list(v.shape or ()) == [13, 17])
        assert kernel.const_value is not None
        kernel.const_value = ir.tensor(kernel.const_value.numpy() * np.float16(1.04), name=kernel.name)
        return translated

    model, x = narrow("mlp", policy)
    given = saved(model, tmp_path / "saved") if form == "SavedModel" else model
    assert to_onnx(given, tmp_path / "right.onnx", x).max_difference is not None
    monkeypatch.setattr(from_tensorflow, "translate", wrong)
    with pytest.raises(ConversionError, match=r"expected the framework's values .* to within .*, got a difference of"):
        to_onnx(given, tmp_path / "m.onnx", x)


def quantized(path: Path, *, integers: bool) -> Array:
    """Write a TensorFlow Lite file in steps of 8 bits, inside alone or at its ends as well; return what fits it."""
    keras.utils.set_random_seed(0)
    parts = [layers.Conv2D(5, 3, activation="relu", name="first"), layers.Conv2D(3, 3, activation="gelu", name="then")]
    model = keras.Sequential([keras.Input((7, 7, 2)), *parts, layers.Flatten(), layers.Dense(11, name="last")])
    x = samples(13, 7, 7, 2)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample[None]] for sample in x)
    if integers:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path.write_bytes(converter.convert())
        scale, zero = tf.lite.Interpreter(model_path=str(path)).get_input_details()[0]["quantization"]
    return np.clip(np.round(x / scale + zero), -128, 127).astype(np.int8) if integers else x


@pytest.mark.parametrize("integers", [False, True])
def test_steps_of_8_bits_may_differ_by_few_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, integers: bool
) -> None:
    def wrong(model: Any, *args: Any) -> dict[str, str]:
        layer_names: dict[str, str] = _tf_names.rename(model, *args)
        kernel = next(v for v in model.graph.initializers.values() if list(v.shape or ()) == [5, 2, 3, 3])
        assert kernel.const_value is not None
        kernel.const_value = ir.tensor(np.roll(kernel.const_value.numpy(), 1, axis=-1), name=kernel.name)
        return layer_names

    x = quantized(tmp_path / "net.tflite", integers=integers)
    converted = to_onnx(tmp_path / "net.tflite", tmp_path / "right.onnx", x)
    assert converted.max_difference is not None
    assert {"first", "then", "last"} <= set(converted.layer_names.values())
    monkeypatch.setattr(_tf_lite, "rename", wrong)
    with pytest.raises(ConversionError, match=r"expected the framework's values .* to within .*, got a difference of"):
        to_onnx(tmp_path / "net.tflite", tmp_path / "m.onnx", x)
