"""Other forms of TensorFlow models: signatures, frozen graphs, TensorFlow Lite, half precision, another backend."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

import wua_onnx as wua
from wua_onnx.converters import _tf_graph, from_tensorflow, to_onnx
from wua_onnx.errors import ConversionError

from .shared import samples

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

layers = keras.layers
Array = np.ndarray[Any, Any]


def run(path: Path, x: Array) -> Array:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    result: Array = session.run(None, {session.get_inputs()[0].name: x})[0]
    return result


def cnn() -> Any:
    keras.utils.set_random_seed(0)
    parts = [
        keras.Input((6, 6, 2), name="image"),
        layers.Conv2D(3, 3, activation="relu", name="first"),
        layers.Flatten(),
        layers.Dense(7, name="last"),
    ]
    return keras.Sequential(parts, name="net")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A Keras model and its SavedModel."""
    model, folder = cnn(), tmp_path_factory.mktemp("formats") / "saved"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras's own use of NumPy
        model.export(folder, verbose=False)
    return model, folder


def test_frozen_graph(saved: tuple[Any, Path], tmp_path: Path) -> None:
    model, _ = saved
    function = tf.function(
        lambda x: model(x, training=False), input_signature=[tf.TensorSpec([None, 6, 6, 2], name="x")]
    )
    constant: Any = convert_variables_to_constants_v2
    frozen = constant(function.get_concrete_function())
    (tmp_path / "net.pb").write_bytes(frozen.graph.as_graph_def().SerializeToString())
    converted = to_onnx(tmp_path / "net.pb", tmp_path / "m.onnx")
    assert sorted(converted.layer_names.values()) == ["first", "last"]
    x = samples(11, 6, 6, 2)
    assert [i.name for i in onnx.load(converted.path).graph.input] == ["x"]
    np.testing.assert_allclose(run(converted.path, x), model(x), atol=1e-5)


def test_a_pb_file_that_is_an_onnx_model_is_one(tmp_path: Path) -> None:
    from wua_onnx.converters import is_convertible

    source = Path(__file__).parents[2] / "examples" / "digits.onnx"
    (tmp_path / "digits.pb").write_bytes(source.read_bytes())
    assert not is_convertible(tmp_path / "digits.pb")


@pytest.mark.parametrize("quantized", [False, True])
def test_tensorflow_lite(saved: tuple[Any, Path], tmp_path: Path, quantized: bool) -> None:
    model, folder = saved
    x = samples(11, 6, 6, 2)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    if quantized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample[None]] for sample in x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (tmp_path / "net.tflite").write_bytes(converter.convert())
    converted = to_onnx(tmp_path / "net.tflite", tmp_path / "m.onnx", x)
    assert converted.max_difference is not None
    assert "first" in {node.name.partition("/")[0] for node in onnx.load(converted.path).graph.node}
    expected = np.asarray(model(x))
    assert np.abs(run(converted.path, x) - expected).max() < (0.1 if quantized else 1e-5) * np.abs(expected).max()


def test_signature_is_chosen(tmp_path: Path) -> None:
    module = tf.Module()
    specs = [tf.TensorSpec([None, 5], name="x")]
    plus = {name: tf.function(lambda x, by=by: x + by, input_signature=specs) for name, by in (("one", 1), ("two", 2))}
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=plus)
    x = samples(7, 5)
    converted = to_onnx(tmp_path / "saved", tmp_path / "m.onnx", x, signature="two")
    np.testing.assert_allclose(run(converted.path, x), x + 2, atol=1e-6)
    with pytest.raises(ConversionError, match=r"expected the signature 'three', got .* with one, two: choose"):
        to_onnx(tmp_path / "saved", tmp_path / "m.onnx", x, signature="three")


def test_a_concrete_function_has_a_name() -> None:
    kernel = tf.Variable(samples(5, 3))
    function = tf.function(lambda x: x @ kernel, input_signature=[tf.TensorSpec([None, 5], name="x")])
    audit = wua.analyze(function.get_concrete_function(), samples(7, 5))
    assert isinstance(audit.to_dict()["model"]["name"], str)


def test_only_signature_is_taken_whatever_its_name(tmp_path: Path) -> None:
    function = tf.function(lambda x: x + 1, input_signature=[tf.TensorSpec([None, 5], name="x")])
    tf.saved_model.save(tf.Module(), str(tmp_path / "saved"), signatures={"score": function})
    x = samples(7, 5)
    np.testing.assert_allclose(run(to_onnx(tmp_path / "saved", tmp_path / "m.onnx").path, x), x + 1, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(tmp_path: Path, policy: str) -> None:
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = keras.Sequential([keras.Input((5,)), layers.Dense(7, activation="relu", name="a"), layers.Dense(3)])
    finally:
        keras.mixed_precision.set_global_policy("float32")
    converted = to_onnx(model, tmp_path / "m.onnx", samples(9, 5))
    assert converted.max_difference is not None
    assert ("bfloat16" in policy) == any("in float32" in warning for warning in converted.warnings)


def attention() -> Any:
    x = keras.Input((7, 6))
    return keras.Model(x, layers.MultiHeadAttention(2, 5, name="mha")(x, x))


def sequential(shape: tuple[int, ...], *parts: Any) -> Any:
    return keras.Sequential([keras.Input(shape), *parts])


NAMED = {
    "lstm": (lambda: sequential((7, 5), layers.LSTM(3, name="it")), ["it.kernel", "it.recurrent_kernel"]),
    "gru": (lambda: sequential((7, 5), layers.GRU(3, name="it")), ["it.kernel", "it.recurrent_kernel"]),
    "both ways": (
        lambda: sequential((7, 5), layers.Bidirectional(layers.LSTM(3, name="it"), name="both")),
        ["both.kernel", "both.recurrent_kernel"],
    ),
    "before reset": (
        lambda: sequential((7, 5), layers.GRU(3, reset_after=False, name="it")),
        ["it.kernel", "it.recurrent_kernel"],
    ),
    "unrolled": (
        lambda: sequential((7, 5), layers.LSTM(3, unroll=True, name="it")),
        ["it.kernel", "it.recurrent_kernel"],
    ),
    "over time": (lambda: sequential((7, 5), layers.TimeDistributed(layers.Dense(3, name="it"), name="all")), ["all"]),
    "depthwise": (lambda: sequential((7, 7, 3), layers.DepthwiseConv2D(3, name="it")), ["it"]),
    "einsum": (lambda: sequential((7, 5), layers.EinsumDense("abc,cd->abd", (None, 3), name="it")), ["it"]),
    "attention": (attention, ["mha/attention_output", "mha/key", "mha/query", "mha/value"]),
    "bins": (lambda: sequential((5,), layers.Discretization(bin_boundaries=[-0.5, 0.0, 1.0])), []),
}


@pytest.mark.parametrize("name", NAMED)
def test_layers_that_tf2onnx_takes_apart_keep_their_names(tmp_path: Path, name: str) -> None:
    build: Any = NAMED[name][0]
    keras.utils.set_random_seed(0)
    converted = to_onnx(build(), tmp_path / "m.onnx")
    assert sorted(converted.layer_names.values()) == NAMED[name][1]
    assert converted.max_difference is not None


def test_classes_of_layers(saved: tuple[Any, Path], tmp_path: Path) -> None:
    converted = to_onnx(saved[0], tmp_path / "m.onnx")
    assert converted.modules["first"].class_name == "Conv2D"
    assert converted.modules["last"].class_name == "Dense"


@pytest.mark.parametrize("form", ["model", "SavedModel"])
def test_a_normalization_that_was_folded_is_named_in_its_layer(tmp_path: Path, form: str) -> None:
    parts = [layers.Conv2D(3, 3, name="first"), layers.BatchNormalization(name="norm"), layers.ReLU(name="active")]
    keras.utils.set_random_seed(0)
    model = sequential((6, 6, 2), *parts, layers.Flatten(), layers.Dense(5, name="last"))
    if form == "SavedModel":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Keras's own use of NumPy
            model.export(tmp_path / "saved", verbose=False)
    modules = to_onnx(model if form == "model" else tmp_path / "saved", tmp_path / "m.onnx").modules
    assert {path: module.folded for path, module in modules.items() if module.folded} == {"first": "norm"}


def test_a_table_that_is_the_last_layer_as_well_is_one_weight(tmp_path: Path) -> None:
    class Tied(keras.Model):  # type: ignore[misc] # keras is untyped
        def __init__(self) -> None:
            super().__init__()
            self.table, self.hidden = layers.Embedding(11, 5, name="table"), layers.Dense(5, name="hidden")

        def call(self, x: Any) -> Any:
            return keras.ops.matmul(self.hidden(self.table(x)), keras.ops.transpose(self.table.embeddings))

    converted = to_onnx(Tied(), tmp_path / "m.onnx", np.random.default_rng(0).integers(0, 11, (9, 7)))
    assert sorted(converted.layer_names.values()) == ["hidden", "table"]
    matrices = [tuple(i.dims) for i in onnx.load(converted.path).graph.initializer if len(i.dims) > 1]
    assert sorted(matrices) == [(5, 5), (11, 5)]


@pytest.mark.parametrize("form", [0, 1], ids=["model", "SavedModel"])
def test_beyond_tolerance_the_first_layer_that_differs_is_named(
    saved: tuple[Any, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: int
) -> None:
    def wrong(traced: Any, where: str) -> Any:
        translated = _tf_graph.translate(traced, where)
        kernel = next(v for v in translated.model.graph.initializers.values() if list(v.shape or ()) == [3, 2, 3, 3])
        assert kernel.const_value is not None
        kernel.const_value = ir.tensor(kernel.const_value.numpy() * 3, name=kernel.name)
        return translated

    monkeypatch.setattr(from_tensorflow, "translate", wrong)
    with pytest.raises(ConversionError, match=r"The first layer that differs is 'first', by"):
        to_onnx(saved[form], tmp_path / "m.onnx", samples(4, 6, 6, 2))
