"""One network, built in PyTorch and in Keras with the same weights, gives one audit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pytest

import wua_onnx as wua

keras = pytest.importorskip("keras", reason="needs the extra tensorflow")
torch = pytest.importorskip("torch", reason="needs the extra torch")

from tests.twins import along, images, sequences  # noqa: E402  # only where both frameworks are
from tests.twins.copying import Twins  # noqa: E402  # likewise

ARCHITECTURES = (
    *(sequences.mlp, images.lenet, images.cnn, images.resnet, images.separable, images.unet),
    *(sequences.long_short_term, sequences.gated, sequences.both_ways),
    *(sequences.embedding_classifier, sequences.encoder, along.causal, along.enlarging, images.grouped),
)
# Where PyTorch has one weight and Keras several, each of those is compared with its part of the other.
PACKED = (sequences.packed_encoder, sequences.both_ways_gated)
# Counted metrics may differ by one weight, since 1e-8 may put one on the other side of a threshold.
COUNTED = ("sparsity", "relative_sparsity", "coverage")


@dataclass(frozen=True)
class Audited:
    """The audit of either framework, and the name of each of Keras's layers in PyTorch."""

    torch: wua.Audit
    keras: wua.Audit
    names: dict[str, str]
    outputs: tuple[Any, Any]

    def pairs(self) -> list[tuple[wua.LayerAudit, wua.LayerAudit]]:
        """Return the layers in their order, those of PyTorch first."""
        return list(zip(self.torch.layers.values(), self.keras.layers.values(), strict=True))


def audited(build: Any) -> Audited:
    torch.manual_seed(3)
    twins: Twins = build()
    with torch.no_grad():
        one = twins.module.eval()(torch.from_numpy(twins.X)).numpy()
    two = np.asarray(twins.model(twins.X_keras))
    two = np.moveaxis(two, -1, 1) if two.ndim == 4 else two
    return Audited(wua.analyze(twins.module, twins.X), wua.analyze(twins.model, twins.X_keras), twins.names, (one, two))


@pytest.fixture(scope="module", params=ARCHITECTURES, ids=lambda build: build.__name__)
def both(request: Any) -> Audited:
    return audited(request.param)


@pytest.fixture(scope="module", params=PACKED, ids=lambda build: build.__name__)
def packed(request: Any) -> Audited:
    return audited(request.param)


def assert_same_networks(both: Audited) -> None:
    one, two = both.outputs
    np.testing.assert_allclose(one, two, atol=1e-4)
    for audit in (both.torch, both.keras):
        assert audit.model["max_difference"] < 1e-5  # the conversion against its framework


def test_both_compute_the_same(both: Audited) -> None:
    assert_same_networks(both)


def test_layers_come_in_the_same_order_with_the_same_weights(both: Audited) -> None:
    assert list(both.keras.layers) == list(both.names)
    assert list(both.torch.layers) == list(both.names.values())
    for a, b in both.pairs():
        assert (a.kind, a.weight_shape, a.neuron_axis, a.uses, a.activation) == (
            (b.kind, b.weight_shape, b.neuron_axis, b.uses, b.activation)
        )
        np.testing.assert_allclose(a.weight, b.weight, rtol=1e-5, atol=1e-6)


def test_macs_are_equal(both: Audited) -> None:
    assert both.torch.cost.macs == both.keras.cost.macs > 0
    assert [a.macs for a, _ in both.pairs()] == [b.macs for _, b in both.pairs()]


def test_every_other_parameter_is_a_bias_or_constant(both: Audited) -> None:
    first, second = both.torch.coverage, both.keras.coverage
    assert first["analysed"] == second["analysed"] == sum(math.prod(a.weight_shape) for a, _ in both.pairs())


def test_means_are_equal(both: Audited) -> None:
    for a, b in both.pairs():
        assert_same_mean(a.mean_activation, b.mean_activation)


def assert_same_mean(one: Any, two: Any) -> None:
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-5 * one.max())


def test_metrics_are_equal(both: Audited) -> None:
    for a, b in both.pairs():
        one, two = a.metrics.to_dict(), b.metrics.to_dict()
        for name, value in one.items():
            if name in COUNTED:
                for key in value:
                    assert abs(value[key] - two[name][key]) * a.metrics.total <= 1 + 1e-9, (a.name, name, key)
            else:
                assert math.isclose(value, two[name], rel_tol=1e-5, abs_tol=1e-9), (a.name, name)


def test_totals_are_equal(both: Audited) -> None:
    for name in ("total_weights", "effective_weights", "utilization", "compression_potential", "average_redundancy"):
        assert math.isclose(getattr(both.torch, name), getattr(both.keras, name), rel_tol=1e-5), name


def test_a_packed_weight_is_its_parts_side_by_side(packed: Audited) -> None:
    """One parameter is one layer: PyTorch's has the neurons that Keras has in several layers."""
    assert_same_networks(packed)
    assert list(packed.keras.layers) == list(packed.names)
    assert packed.torch.cost.macs == packed.keras.cost.macs > 0
    by_owner = sorted(packed.names, key=lambda name: list(packed.torch.layers).index(packed.names[name]))
    for owner, names in groupby(by_owner, key=packed.names.__getitem__):
        whole, parts = packed.torch.layers[owner], [packed.keras.layers[name] for name in names]
        assert {part.kind for part in parts} == {whole.kind}
        assert sum(part.macs for part in parts) == whole.macs
        weights = np.concatenate([part.weight for part in parts], axis=whole.neuron_axis)
        np.testing.assert_allclose(whole.weight, weights, rtol=1e-5, atol=1e-6)
        assert_same_mean(whole.mean_activation, np.concatenate([part.mean_activation for part in parts]))
        scores = np.concatenate([part.importance for part in parts], axis=whole.neuron_axis)
        np.testing.assert_allclose(whole.importance, scores, rtol=0, atol=1e-5 * scores.max())


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
