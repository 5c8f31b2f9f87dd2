"""Keras's weights in ONNX: each once, in its author's shape and under its author's name, whatever its values."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import wua_onnx as wua
from wua_onnx.converters import to_onnx

from .shared import samples

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

layers = keras.layers
Array = np.ndarray[Any, Any]


def weights(path: Path) -> dict[str, tuple[int, ...]]:
    return {i.name: tuple(i.dims) for i in onnx.load(path).graph.initializer if i.dims}


def heads() -> Any:
    """An attention's projections of sequences of any length, for which Keras knows no way but TensorFlow's Einsum."""
    x = keras.Input((None, 6), name="x")
    split = layers.EinsumDense("bqm,muh->bquh", output_shape=(None, 2, 5), name="query")(x)
    return keras.Model(x, layers.EinsumDense("bquh,uhm->bqm", output_shape=(None, 3), name="merge")(split))


def test_an_einsum_keeps_its_kernel_and_costs_what_it_multiplies(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    converted = to_onnx(heads(), tmp_path / "m.onnx", samples(9, 7, 6))
    assert {"query/kernel": (6, 2, 5), "merge/kernel": (2, 5, 3)}.items() <= weights(converted.path).items()
    assert converted.layer_names == {"query/kernel": "query", "merge/kernel": "merge"}
    report = wua.cost(converted.path, dims={"x": (1, 7, 6)})
    assert report.macs == 7 * 6 * 10 + 7 * 10 * 3


def fresh() -> Any:
    """Equal biases, and two kernels that one seeded initializer makes equal.

    No biases of zeros: TensorFlow itself leaves out what adds nothing.
    """
    same: Any = {"kernel_initializer": keras.initializers.RandomNormal(seed=0), "bias_initializer": "ones"}
    parts = [layers.Dense(5, **same, activation="relu", name=name) for name in ("a", "b")]
    norm = layers.LayerNormalization(
        name="norm", beta_initializer="ones", gamma_initializer=keras.initializers.Constant(2.0)
    )
    last = [norm, layers.Dense(5, bias_initializer="ones", name="c")]
    return keras.Sequential([keras.Input((5,), name="x"), *parts, *last])


FRESH = {"a/kernel", "a/bias", "b/kernel", "b/bias", "norm/gamma", "norm/beta", "c/kernel", "c/bias"}


@pytest.mark.parametrize("form", ["model", "SavedModel"])
def test_weights_of_equal_values_stay_apart_and_bear_their_names(tmp_path: Path, form: str) -> None:
    given: Any = fresh()
    if form == "SavedModel":
        for number, layer in enumerate(given.layers[:2]):  # nothing else tells these kernels apart in that form
            layer.kernel.assign(layer.kernel * (number + 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Keras's own use of NumPy
            given.export(tmp_path / "saved", verbose=False)
        given = tmp_path / "saved"
    found = weights(to_onnx(given, tmp_path / "m.onnx", samples(9, 5)).path)
    assert set(found) >= FRESH


def test_a_layer_that_runs_twice_has_its_weights_once(tmp_path: Path) -> None:
    x, shared = keras.Input((5,), name="x"), layers.Dense(5, bias_initializer="ones", name="shared")
    found = weights(to_onnx(keras.Model(x, shared(shared(x))), tmp_path / "m.onnx", samples(9, 5)).path)
    assert sorted(found) == ["shared/bias", "shared/kernel"]


def test_cells_in_a_loop_come_in_the_order_in_which_they_run(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    cells = [layers.LSTMCell(7, name="first"), layers.GRUCell(5, name="second"), layers.SimpleRNNCell(3, name="third")]
    model = keras.Sequential([keras.Input((5, 2), name="x"), layers.RNN(cells, name="rnn")])
    found = wua.analyze(model, samples(9, 5, 2)).layers
    parameters = ("kernel", "recurrent_kernel")
    assert list(found) == [f"rnn/{cell.name}.{parameter}" for cell in cells for parameter in parameters]


@pytest.mark.parametrize("size", [8, 9])
def test_cutting_an_image_into_patches_is_no_layer(tmp_path: Path, size: int) -> None:
    """Keras multiplies by an identity matrix; where pixels are left over, it still does."""
    keras.utils.set_random_seed(0)
    image = keras.Input((size, size, 3), name="image")
    patches = layers.Flatten()(keras.ops.image.extract_patches(image, 4))
    model = keras.Model(image, layers.Dense(5, name="last")(patches))
    converted = to_onnx(model, tmp_path / "m.onnx", samples(7, size, size, 3))
    assert converted.max_difference is not None
    kernels = [shape for shape in weights(converted.path).values() if len(shape) == 4]
    assert kernels == ([] if size == 8 else [(48, 3, 4, 4)])
    assert [*wua.analyze(converted.path, samples(7, size, size, 3)).layers][-1] == "last"
