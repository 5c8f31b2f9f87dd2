"""Keras and TensorFlow: what comes out runs, computes the same, and bears its author's names."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from wua_onnx.converters import _base, _tf_graph, from_tensorflow, is_convertible, to_onnx
from wua_onnx.errors import ConversionError

from .shared import samples, saved

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras
    import tensorflow as tf

layers = keras.layers
Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()


def randomized(model: Any) -> Any:
    """Give every variable values of its own: an untrained bias or moving mean of zeros hides mistakes."""
    generator = np.random.default_rng(1)
    for variable in model.variables:
        if variable.dtype == "float32":
            variable.assign(generator.uniform(0.05, 0.5, variable.shape))
    return model


def cnn() -> Any:
    return randomized(
        keras.Sequential(
            [
                keras.Input((5, 5, 2), name="image"),
                layers.Conv2D(3, 3, name="first"),
                layers.BatchNormalization(name="norm"),
                layers.ReLU(name="active"),
                layers.Flatten(),
                layers.Dropout(0.5),
                layers.Dense(7, activation="softmax", name="last"),
            ],
            name="net",
        )
    )


def nested() -> Any:
    """A block with a layer named like one outside, a layer used twice, two inputs, two named outputs."""
    block = keras.Sequential(
        [keras.Input((5,)), layers.Dense(7, name="one"), layers.Dense(3, name="dense_1")], name="blk"
    )
    a, b = keras.Input((5,), name="a"), keras.Input((2,), name="b")
    shared = layers.Dense(3, name="dense")
    left = layers.Dense(2, name="dense_1")(shared(shared(block(a))))
    right = layers.Dense(11, name="dense_1_1")(b)
    return randomized(keras.Model({"a": a, "b": b}, {"z": left, "y": right}, name="net"))


def weights(path: Path) -> dict[str, tuple[int, ...]]:
    return {i.name: tuple(i.dims) for i in onnx.load(path).graph.initializer if len(i.dims) > 1}


def node_names(path: Path) -> list[str]:
    return [node.name for node in onnx.load(path).graph.node]


def run(path: Path, **feeds: Array) -> dict[str, Array]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def test_sequential(tmp_path: Path) -> None:
    model = cnn()
    converted = to_onnx(model, tmp_path / "m.onnx")
    assert (converted.framework, converted.framework_version) == ("keras", keras.__version__)
    assert converted.warnings == ()
    assert converted.max_difference is not None
    assert converted.max_difference < 1e-5
    x = samples(13, 5, 5, 2)
    np.testing.assert_allclose(run(converted.path, image=x)["last"], model(x, training=False), atol=1e-5)
    shape = onnx.load(converted.path).graph.input[0].type.tensor_type.shape
    assert [d.dim_param or d.dim_value for d in shape.dim] == ["batch", 5, 5, 2]


def test_names_are_those_of_layers_and_parameters(tmp_path: Path) -> None:
    converted = to_onnx(cnn(), tmp_path / "m.onnx")
    assert {"first/kernel": (3, 2, 3, 3), "last/kernel": (27, 7)}.items() <= weights(converted.path).items()
    assert converted.layer_names["first/kernel"] == "first"
    assert converted.layer_names["last/kernel"] == "last"
    owners = {name.partition("/")[0] for name in node_names(converted.path) if "/" in name}
    assert {"first", "norm", "active", "flatten", "last"} <= owners
    assert not any("net" in name for name in node_names(converted.path))


@pytest.mark.parametrize("exported", [False, True], ids=["model", "SavedModel"])
def test_nested_and_shared_layers(tmp_path: Path, exported: bool) -> None:
    """Scopes number everything (`dense_1` runs in `dense_1_1`), which must not be mistaken for another layer."""
    model = nested()
    given = saved(model, tmp_path / "saved") if exported else model
    feeds = {"a": samples(9, 5), "b": samples(9, 2)}
    converted = to_onnx(given, tmp_path / "m.onnx", feeds)
    expected = {"blk/one": (5, 7), "blk/dense_1": (7, 3), "dense": (3, 3), "dense_1": (3, 2), "dense_1_1": (2, 11)}
    found = {converted.layer_names[name]: shape for name, shape in weights(converted.path).items()}
    assert found == expected
    nodes = sorted(name for name in node_names(converted.path) if "MatMul" in name)
    assert nodes == sorted(["dense/MatMul_1", *(f"{name}/MatMul" for name in expected)])
    outputs = list(run(converted.path, **feeds).values())
    made = model(feeds, training=False)
    for got, name in zip(outputs, ["y", "z"], strict=True):
        np.testing.assert_allclose(got, made[name], atol=1e-5)


def test_layer_with_several_weights_names_each(tmp_path: Path) -> None:
    model = randomized(keras.Sequential([keras.Input((7, 7, 3)), layers.SeparableConv2D(5, 3, name="sep")]))
    converted = to_onnx(model, tmp_path / "m.onnx")
    assert sorted(converted.layer_names.values()) == ["sep.depthwise_kernel", "sep.pointwise_kernel"]


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_files(tmp_path: Path, suffix: str) -> None:
    model = cnn()
    file = saved(model, tmp_path / f"m{suffix}")
    assert is_convertible(file)
    converted = to_onnx(str(file), tmp_path / "m.onnx", samples(9, 5, 5, 2))
    assert {"first", "last"} <= set(converted.layer_names.values())
    x = samples(13, 5, 5, 2)
    np.testing.assert_allclose(run(converted.path, image=x)["last"], model(x, training=False), atol=1e-5)


def test_saved_model(tmp_path: Path) -> None:
    model = cnn()
    converted = to_onnx(saved(model, tmp_path / "saved"), tmp_path / "m.onnx")
    assert (converted.framework, converted.framework_version) == ("tensorflow", tf.__version__)
    assert {"first/kernel": "first", "last/kernel": "last"}.items() <= converted.layer_names.items()
    x = samples(13, 5, 5, 2)
    np.testing.assert_allclose(run(converted.path, image=x)["output_0"], model(x, training=False), atol=1e-5)


@pytest.mark.parametrize("activation", ["celu", "gelu", "relu", "silu", "tanh"])
def test_activations(tmp_path: Path, activation: str) -> None:
    model = randomized(keras.Sequential([keras.Input((5,)), layers.Dense(7, activation=activation)]))
    converted = to_onnx(model, tmp_path / "m.onnx", samples(9, 5))
    x = np.linspace(-4, 4, 55, dtype=np.float32).reshape(11, 5)
    got = next(iter(run(converted.path, **{model.inputs[0].name: x}).values()))
    np.testing.assert_allclose(got, model(x), atol=1e-5)


def pixel() -> Any:
    """Images of a single pixel; the mean over all axes at the end hides how many values there were."""
    return randomized(
        keras.Sequential(
            [
                keras.Input((1, 1, 2)),
                layers.Conv2D(4, 3, padding="same", name="first"),
                layers.LayerNormalization(name="norm"),
                layers.GlobalAveragePooling2D(name="mean"),
            ]
        )
    )


def test_images_of_a_single_pixel(tmp_path: Path) -> None:
    model = pixel()
    converted = to_onnx(model, tmp_path / "m.onnx", samples(7, 1, 1, 2))
    assert converted.max_difference is not None
    x = samples(11, 1, 1, 2)
    got = next(iter(run(converted.path, **{model.inputs[0].name: x}).values()))
    np.testing.assert_allclose(got, model(x), atol=1e-5)


@pytest.mark.parametrize("form", ["model", "SavedModel", "function"])
def test_a_layer_of_another_size_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """The layer's pixel stands there twice, and the mean at the end hides it."""

    def doubled(traced: Any, where: str) -> Any:
        translated = _tf_graph.translate(traced, where)
        graph = translated.model.graph
        made = next(output for node in graph for output in node.outputs if "norm_1/add_2" in str(output.name))
        twice = ir.node("Concat", [made, made], {"axis": 2}, name="twice")
        twice.outputs[0].name, made.name = made.name, "once"
        ir.convenience.replace_all_uses_with(made, twice.outputs[0])
        for place in range(2):
            twice.replace_input_with(place, made)
        producer = made.producer()
        assert producer is not None
        graph.insert_after(producer, twice)
        return translated

    monkeypatch.setattr(from_tensorflow, "translate", doubled)
    model: Any = pixel()
    spec = tf.TensorSpec([None, 1, 1, 2], name="x")
    given = saved(model, tmp_path / "saved") if form == "SavedModel" else model
    given = tf.function(lambda x: model(x), input_signature=[spec]) if form == "function" else given
    with pytest.raises(ConversionError, match=r"layer 'norm': expected \[5, 1, 1, 4\] as in the framework, got \[5, "):
        to_onnx(given, tmp_path / "m.onnx", samples(7, 1, 1, 2))


def test_constants_that_a_layer_holds_are_no_inputs(tmp_path: Path) -> None:
    normalized = layers.Normalization(mean=[0.5, -1.0, 2.0], variance=[4.0, 0.25, 1.0])
    model = randomized(keras.Sequential([keras.Input((3,), name="x"), normalized, layers.Dense(2)]))
    converted = to_onnx(model, tmp_path / "m.onnx", samples(9, 3))
    assert [i.name for i in onnx.load(converted.path).graph.input] == ["x"]
    x = samples(11, 3)
    np.testing.assert_allclose(next(iter(run(converted.path, x=x).values())), model(x), atol=1e-5)


def test_subclass_is_traced_for_x(tmp_path: Path) -> None:
    class Mine(keras.Model):  # type: ignore[misc] # keras is untyped
        def __init__(self) -> None:
            super().__init__()
            self.hidden = layers.Dense(7, name="hidden")

        def call(self, x: Any) -> Any:
            return self.hidden(x)

    with pytest.raises(ConversionError, match="never built: pass X"):
        to_onnx(Mine(), tmp_path / "m.onnx")
    converted = to_onnx(Mine(), tmp_path / "m.onnx", np.random.default_rng(0).standard_normal((9, 5)))
    assert converted.layer_names == {"hidden/kernel": "hidden"}


def test_tracing_leaves_the_layers_as_they_were(tmp_path: Path) -> None:
    model = nested()
    to_onnx(model, tmp_path / "m.onnx")
    assert not any("call" in vars(layer) for layer in [model, *model.layers, *model.get_layer("blk").layers])


def test_function_and_module(tmp_path: Path) -> None:
    class Scale(tf.Module):  # type: ignore[misc] # tensorflow is untyped
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable(samples(5, 3), name="w")

        # tensorflow is untyped
        @tf.function(input_signature=[tf.TensorSpec([None, 5], tf.float32, name="x")])  # type: ignore[untyped-decorator] # TensorFlow ships no types
        def __call__(self, x: Any) -> Any:
            return tf.nn.relu(x @ self.w)

    module, x = Scale(), samples(9, 5)
    expected = np.maximum(x @ samples(5, 3), 0)
    free = tf.function(lambda q: {"out": tf.nn.relu(q @ module.w)})
    for given, X, name in [(module, None, "x"), (module.__call__, x, "x"), (free, tf.constant(x), "q")]:
        assert is_convertible(given)
        converted = to_onnx(given, tmp_path / "m.onnx", X)
        assert converted.max_difference is not None
        np.testing.assert_allclose(next(iter(run(converted.path, **{name: x}).values())), expected, atol=1e-5)
        assert weights(converted.path) == {"w": (5, 3)}


def test_weights_beyond_the_limit_of_protobuf_take_the_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_base, "EXTERNAL_ABOVE", 5_000)
    model = randomized(keras.Sequential([keras.Input((53,)), layers.Dense(59, name="big")]))
    converted = to_onnx(model, tmp_path / "m.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    assert converted.layer_names == {"big/kernel": "big"}
    assert (tmp_path / "m.onnx").stat().st_size < 53 * 59 * 4
    x = samples(3, 53)
    np.testing.assert_allclose(run(converted.path, **{model.inputs[0].name: x})["big"], model(x), atol=1e-4)
