"""What a whole training costs."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from wua_onnx.cost import CostReport, count
from wua_onnx.cost.training import OPTIMIZERS
from wua_onnx.cost.value import KINDS
from wua_onnx.errors import DataError, ShapeError
from wua_onnx.model import load

from .counting import Scalar, counted
from .nodes import whole
from .small import TWO_LAYERS, WEIGHTS, network, op


def two_layers(batch: int | str) -> CostReport:
    return count(load(network(TWO_LAYERS, WEIGHTS, x=(batch, 7))))


def test_a_training_is_its_samples_and_epochs() -> None:
    one = two_layers(1)
    forward, backward = whole(one.cost.flops), whole(one.backward.flops)
    training = one.training(samples=13, epochs=3)
    assert (training.forward, training.backward) == (39 * forward, 39 * backward)
    assert (training.flops, training.optimizer, training.steps) == (39 * (forward + backward), 0, None)
    assert training.bytes_moved == 39 * 3 * whole(one.moved)
    assert one.training(samples=13, epochs=3, factor=2).backward == 2 * 39 * forward
    assert one.training(samples=0).flops == 0


def test_the_batch_is_a_matter_of_runs_not_of_operations() -> None:
    """A free batch counts as 1; a model of five samples a run takes a fifth of the runs."""
    one, free = two_layers(1), two_layers("batch")
    wanted = one.training(samples=10, epochs=2)
    assert free.training(samples=10, epochs=2) == wanted
    for five in (two_layers(5), free.at(batch=5)):
        found = five.training(samples=10, epochs=2)
        assert five.samples_per_run == 5
        assert (found.forward, found.backward) == (wanted.forward, wanted.backward)
        assert found.bytes_moved < wanted.bytes_moved  # the weights are read for five samples at once
    assert free.samples_per_run is None


def test_other_free_dimensions_are_asked_for() -> None:
    free = count(load(network([op("y = MatMul(x, w)")], {"w": (7, 3)}, x=(1, "seq", 7))))
    with pytest.raises(ShapeError, match="training: expected every dimension bound, got free ones: seq"):
        free.training(samples=5)
    assert free.at(seq=13).training(samples=5).forward == 5 * 13 * 7 * 3 * 2


def test_training_of_a_report_read_back_from_json() -> None:
    report = two_layers("batch")
    written = json.loads(json.dumps(report.to_dict()))
    assert written["backward"]["macs"]["text"] == f"{7 * 11 + 2 * 11 * 3}*batch"
    again = CostReport.from_dict(written)
    settings: dict[str, Any] = {"samples": 1013, "epochs": 7, "optimizer": "adam", "batch_size": 32}
    assert again.training(**settings) == report.training(**settings)
    assert again.training(**settings).trainable == 7 * 11 + 11 + 11 * 3


def sgd(p: Any, g: Any, v: Any, s: Any) -> Any:
    return p - 0.1 * g


def momentum(p: Any, g: Any, v: Any, s: Any) -> Any:
    return p - 0.1 * (0.9 * v + g)


def adam(p: Any, g: Any, v: Any, s: Any) -> Any:
    m = 0.9 * v + 0.1 * g
    return p - 0.1 * m / ((0.99 * s + 0.01 * g * g).sqrt() + 1e-8)


@pytest.mark.parametrize("update", [sgd, momentum, adam])
def test_optimizers_cost_what_their_formulas_do(update: Any) -> None:
    ticks = counted(lambda: update(*(Scalar(0.5) for _ in range(4))))
    cost = OPTIMIZERS[update.__name__]
    assert +Counter({kind: whole(getattr(cost, kind)) for kind in KINDS}) == ticks
    training = two_layers(1).training(samples=10, epochs=3, optimizer=update.__name__, batch_size=4)
    assert training.steps == 9  # the last batch of an epoch is smaller
    assert training.optimizer == 9 * 121 * ticks.total()
    without = two_layers(1).training(samples=10, epochs=3)
    touched = {"sgd": 3, "momentum": 5, "adam": 7}[update.__name__]  # g, p and moments read, p and moments written
    assert training.bytes_moved - without.bytes_moved == 9 * 121 * touched * 4
    assert training.flops == without.flops + training.optimizer


def test_the_batch_of_the_model_is_the_step_where_none_is_given() -> None:
    assert two_layers(5).training(samples=11, optimizer="sgd").steps == 3
    with pytest.raises(DataError, match="batch_size: expected the samples of a step"):
        two_layers(1).training(samples=11, optimizer="sgd")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"samples": -1}, "samples: expected at least 0, got -1"),
        ({"samples": 1, "epochs": -2}, "epochs: expected at least 0, got -2"),
        ({"samples": 1, "batch_size": 0, "optimizer": "sgd"}, "batch_size: expected at least 1, got 0"),
        ({"samples": 1, "factor": -1.0}, "factor: expected a number >= 0, got -1"),
        ({"samples": 1, "factor": float("nan")}, "factor: expected a number >= 0, got nan"),
        ({"samples": 1, "batch_size": 2, "optimizer": "lion"}, "expected one of sgd, momentum, adam, got 'lion'"),
    ],
)
def test_what_makes_no_training_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        two_layers(1).training(**settings)
