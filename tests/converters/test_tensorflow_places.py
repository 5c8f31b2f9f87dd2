"""Operators that tf2onnx names anew belong to the layers of their weights: modules, classes, costs."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wua_onnx as wua

from .shared import samples, saved

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

layers = keras.layers


def normalized(shift: float) -> Any:
    """A convolution with a batch normalization behind it, whose shift, where there is one, becomes its bias."""
    keras.utils.set_random_seed(0)
    parts = [layers.Conv2D(5, 3, name="conv"), layers.BatchNormalization(name="norm"), layers.ReLU(name="active")]
    model = keras.Sequential([keras.Input((8, 7, 2)), *parts, layers.Flatten(), layers.Dense(3, name="last")])
    norm = model.get_layer("norm")
    norm.set_weights([np.linspace(0.5, 2, 5), np.full(5, shift), np.full(5, shift), np.full(5, 2.0)])
    return model


@pytest.mark.parametrize("form", ["model", "SavedModel"])
@pytest.mark.parametrize("shift", [0.0, 0.3], ids=["without a bias", "with a bias"])
def test_a_convolution_that_took_a_normalization_in(shift: float, form: str, tmp_path: Path) -> None:
    model = normalized(shift)
    audit = wua.analyze(model if form == "model" else saved(model, tmp_path / "saved"), samples(4, 8, 7, 2))
    found = audit.layers["conv"]
    assert (found.module, found.folded) == ("conv", "norm")
    assert found.module_class == ("Conv2D" if form == "model" else None)
    assert audit.cost.by_module["conv"].macs == found.macs == 6 * 5 * 5 * 2 * 9
    assert audit.layers["last"].folded is None


def test_a_recurrent_layer_that_became_one_operator() -> None:
    keras.utils.set_random_seed(0)
    inside = layers.Bidirectional(layers.LSTM(5, name="lstm"), name="both")
    model = keras.Sequential([keras.Input((6, 7)), inside, layers.Dense(3, name="last")])
    audit = wua.analyze(model, samples(4, 6, 7))
    assert audit.layers["last"].module_class == "Dense"
    recurrent = [layer for layer in audit.layers.values() if layer.kind == "recurrent"]
    assert recurrent
    for layer in recurrent:
        assert layer.module is not None
        assert layer.module.startswith("both")
        assert layer.module_class is not None
