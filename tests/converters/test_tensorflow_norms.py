"""Group normalisations, written out by Keras, are one operator and its scale in the file."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import wua_onnx as wua

from .shared import samples

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

layers = keras.layers


@pytest.mark.parametrize(
    ("shape", "groups", "options"),
    [
        ((9, 7, 3), 3, {}),
        ((9, 7, 3), -1, {}),
        ((9, 7, 3), 1, {"center": False}),
        ((None, None, 3), 2, {}),
        ((9, 3), 3, {}),
        ((4, 5, 6, 3), 2, {}),
    ],
    ids=str,
)
def test_neurons_are_read_behind_it(shape: tuple[Any, ...], groups: int, options: dict[str, Any]) -> None:
    kind = {2: layers.Conv1D, 3: layers.Conv2D, 4: layers.Conv3D}[len(shape)]
    norm = layers.GroupNormalization(groups, name="norm", **options)
    model = keras.Sequential([keras.Input(shape), kind(6, 3, name="first"), norm, layers.ReLU()])
    norm.set_weights([np.random.default_rng(n).uniform(0.5, 1.5, 6) for n, _ in enumerate(norm.weights)])
    X = samples(5, *(size or 8 for size in shape))
    audit = wua.analyze(model, X)
    assert audit.layers["first"].activation == "ReLU"
    assert [row["op"] for row in audit.cost.to_dict()["by_operator"] if "Norm" in row["op"]] == [
        "InstanceNormalization"
    ]
    made = np.abs(np.asarray(model(X))).mean(axis=tuple(range(len(shape))))
    found = audit.layers["first"].mean_activation
    assert found is not None
    np.testing.assert_allclose(found, made, rtol=1e-4)


@pytest.mark.parametrize("options", [{"scale": False}, {"scale": False, "center": False}], ids=str)
def test_without_a_scale_it_stays_as_it_is(options: dict[str, Any]) -> None:
    parts = [keras.Input((9, 7, 3)), layers.Conv2D(6, 3, name="first"), layers.GroupNormalization(3, **options)]
    assert wua.analyze(keras.Sequential(parts), samples(5, 9, 7, 3)).model["max_difference"] < 1e-4


@pytest.mark.parametrize("part", [layers.Flatten(), layers.Reshape((5, 7, 3, 2))], ids=["Flatten", "Reshape"])
def test_beside_another_reshape_it_stays_as_it_is(part: Any) -> None:
    """tf2onnx makes one of the two."""
    parts = [keras.Input((7, 9, 3)), layers.Conv2D(6, 3, name="first"), layers.GroupNormalization(3), part]
    assert wua.analyze(keras.Sequential(parts), samples(5, 7, 9, 3)).model["max_difference"] < 1e-4
    parts = [keras.Input((7 * 9 * 6,)), layers.Reshape((7, 9, 6)), layers.GroupNormalization(3), layers.Dense(2)]
    assert wua.analyze(keras.Sequential(parts), samples(5, 7 * 9 * 6)).model["max_difference"] < 1e-4


def test_what_is_rewritten_leaves_nothing_unused() -> None:
    """Nor do convolutions along one axis."""
    parts = [layers.SeparableConv1D(6, 3), layers.GroupNormalization(3), layers.ReLU()]
    audit = wua.analyze(keras.Sequential([keras.Input((9, 3)), *parts]), samples(5, 9, 3))
    assert "unused-initializers" not in [finding.rule for finding in audit.findings]
