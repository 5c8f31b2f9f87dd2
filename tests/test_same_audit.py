"""One network, built in PyTorch and in Keras with the same weights, gives one audit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import wua_onnx as wua

keras = pytest.importorskip("keras", reason="needs the extra tensorflow")
torch = pytest.importorskip("torch", reason="needs the extra torch")

CHANNELS, SIDE, SAMPLES = 3, 11, 53
# Counted metrics may differ by one weight, since 1e-8 may put one on the other side of a threshold.
COUNTED = ("sparsity", "relative_sparsity", "coverage")


def array(parameter: Any) -> Any:
    return parameter.detach().numpy()


def set_norm(layer: Any, module: Any) -> None:
    layer.set_weights([array(t) for t in (module.weight, module.bias, module.running_mean, module.running_var)])


def randomised(module: Any) -> Any:
    generator = torch.Generator().manual_seed(7)
    for part in module.modules():
        if hasattr(part, "running_var"):
            part.running_mean.uniform_(-0.1, 0.1, generator=generator)
            part.running_var.uniform_(0.5, 1.5, generator=generator)
            with torch.no_grad():
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.uniform_(-0.2, 0.2, generator=generator)
    return module


def mlp() -> tuple[Any, Any, Any, Any]:
    nn = torch.nn
    module = nn.Sequential(nn.Linear(7, 13), nn.Tanh(), nn.Linear(13, 17), nn.GELU(), nn.Linear(17, 5), nn.Sigmoid())
    layers = keras.layers
    gelu = keras.activations.gelu
    model = keras.Sequential(
        [
            keras.Input((7,)),
            layers.Dense(13, activation="tanh"),
            layers.Dense(17, activation=lambda x: gelu(x, approximate=False)),
            layers.Dense(5, activation="sigmoid"),
        ]
    )
    for layer, linear in zip(model.layers, (module[0], module[2], module[4]), strict=True):
        layer.set_weights([array(linear.weight).T, array(linear.bias)])
    X = np.random.default_rng(1).standard_normal((SAMPLES, 7), dtype=np.float32)
    return module, model, X, X


def cnn() -> tuple[Any, Any, Any, Any]:
    """PyTorch's exporter folds every BatchNorm; tf2onnx folds that after Conv and leaves Mul and Add after Dense."""
    nn = torch.nn
    module = randomised(
        nn.Sequential(
            nn.Conv2d(CHANNELS, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, groups=2, stride=2),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, 11),
            nn.BatchNorm1d(11),
            nn.ReLU(),
            nn.Linear(11, 5),
            nn.Softmax(-1),
        )
    )
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, CHANNELS)),
            layers.Conv2D(8, 3, use_bias=False, name="c1"),
            layers.BatchNormalization(epsilon=1e-5, name="b1"),
            layers.ReLU(),
            layers.Conv2D(16, 3, groups=2, strides=2, activation="silu", name="c2"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(11, name="d1"),
            layers.BatchNormalization(epsilon=1e-5, name="b2"),
            layers.ReLU(),
            layers.Dense(5, activation="softmax", name="d2"),
        ]
    )
    model.get_layer("c1").set_weights([array(module[0].weight).transpose(2, 3, 1, 0)])
    model.get_layer("c2").set_weights([array(module[3].weight).transpose(2, 3, 1, 0), array(module[3].bias)])
    for name, linear in (("d1", module[7]), ("d2", module[10])):
        model.get_layer(name).set_weights([array(linear.weight).T, array(linear.bias)])
    set_norm(model.get_layer("b1"), module[1])
    set_norm(model.get_layer("b2"), module[8])
    X = np.random.default_rng(2).standard_normal((SAMPLES, CHANNELS, SIDE, SIDE), dtype=np.float32)
    return module, model, X, np.ascontiguousarray(X.transpose(0, 2, 3, 1))


@pytest.fixture(scope="module", params=[mlp, cnn], ids=["mlp", "cnn"])
def audits(request: Any) -> tuple[wua.Audit, wua.Audit]:
    torch.manual_seed(3)
    module, model, X, X_keras = request.param()
    return wua.analyze(module, X), wua.analyze(model, X_keras)


def test_layers_come_in_the_same_order_with_the_same_weights(audits: tuple[wua.Audit, wua.Audit]) -> None:
    one, two = (list(audit.layers.values()) for audit in audits)
    assert [(a.kind, a.weight_shape, a.activation) for a in one] == [
        (b.kind, b.weight_shape, b.activation) for b in two
    ]
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a.weight, b.weight, rtol=1e-5, atol=1e-6)


def test_macs_are_equal(audits: tuple[wua.Audit, wua.Audit]) -> None:
    assert audits[0].cost.macs == audits[1].cost.macs > 0
    assert [a.macs for a in audits[0].layers.values()] == [b.macs for b in audits[1].layers.values()]


def test_metrics_are_equal(audits: tuple[wua.Audit, wua.Audit]) -> None:
    for a, b in zip(audits[0].layers.values(), audits[1].layers.values(), strict=True):
        mean_a, mean_b = a.mean_activation, b.mean_activation
        assert mean_a is not None
        assert mean_b is not None
        np.testing.assert_allclose(mean_a, mean_b, atol=1e-5 * mean_a.max())
        one, two = a.metrics.to_dict(), b.metrics.to_dict()
        for name, value in one.items():
            if name in COUNTED:
                for key in value:
                    assert abs(value[key] - two[name][key]) * a.metrics.total <= 1 + 1e-9, (a.name, name, key)
            else:
                assert math.isclose(value, two[name], rel_tol=1e-5, abs_tol=1e-9), (a.name, name)


def test_both_conversions_were_checked_against_their_framework(audits: tuple[wua.Audit, wua.Audit]) -> None:
    for audit in audits:
        assert audit.model["max_difference"] < 1e-5


def test_names_are_the_authors_own(audits: tuple[wua.Audit, wua.Audit]) -> None:
    torch_names, keras_names = (list(audit.layers) for audit in audits)
    assert all(name.isdigit() for name in torch_names)  # nn.Sequential names its children by number
    assert all(name.startswith(("c", "d")) for name in keras_names), keras_names


def test_a_generator_of_batches_converts_and_records() -> None:
    torch.manual_seed(5)
    module = torch.nn.Sequential(torch.nn.Linear(7, 3), torch.nn.ReLU())
    X = np.random.default_rng(3).standard_normal((20, 7), dtype=np.float32)
    streamed = wua.analyze(module, (X[i : i + 8] for i in range(0, 20, 8)))
    whole = wua.analyze(module, X)
    assert streamed.to_dict()["recording"]["samples"] == 20
    np.testing.assert_allclose(streamed.layers["0"].importance, whole.layers["0"].importance, rtol=1e-6)


def test_convert_writes_a_model_that_can_be_analysed(tmp_path: Any) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(7, 3), torch.nn.ReLU())
    path = wua.convert(module, tmp_path / "m.onnx", np.zeros((2, 7), np.float32))
    assert path == tmp_path / "m.onnx"
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    assert wua.cost(path).at(batch=1).macs == 21
