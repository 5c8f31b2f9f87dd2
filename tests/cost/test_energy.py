"""Energy and carbon: arithmetic, constants and where they come from, and how they are printed."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

import wua_onnx as wua
from wua_onnx.cost import count
from wua_onnx.cost.energy import SOURCES, Energy, energy
from wua_onnx.errors import DataError, ShapeError
from wua_onnx.model import load
from wua_onnx.report.training import si

from .nodes import one_node, whole
from .small import TWO_LAYERS, WEIGHTS, network, op


def test_a_kilowatt_hour() -> None:
    found = energy(10**18, joules_per_flop=3.6e-12, grams_per_kwh=56)
    assert (found.joules, found.kwh, found.grams_co2) == pytest.approx((3.6e6, 1, 56))
    assert found.label == "estimate"


def test_every_kind_of_work_adds_up() -> None:
    constants: dict[str, Any] = {"joules_per_flop": 2e-12, "joules_per_byte": 3e-12, "joules_per_int_op": 5e-12}
    found = energy(10**12, 10**13, 10**14, **constants)
    assert found.joules == pytest.approx(2 + 30 + 500)
    assert found.assumptions == {**constants, "grams_per_kwh": 445.0}


def test_a_rated_second_of_the_board_is_its_power() -> None:
    """Four hundred joules, by each of its rated speeds alone."""
    for work in ({"flops": 19_500 * 10**9}, {"bytes_moved": 1_555 * 10**9}, {"int_ops": 624 * 10**12}):
        assert energy(**work).joules == pytest.approx(400)


def test_measured_power_replaces_the_estimate() -> None:
    found = energy(10**30, watts=250, seconds=7200)
    assert (found.joules, found.kwh) == pytest.approx((1.8e6, 0.5))
    assert found.assumptions == {"watts": 250, "seconds": 7200, "grams_per_kwh": 445.0}
    assert found.label == "from measured power and time"
    assert found.sources["watts"] == "given"


def test_every_default_has_a_source_and_every_other_value_is_given() -> None:
    default = energy(1, 1, 1)
    assert set(default.assumptions) == set(SOURCES)
    assert dict(default.sources) == {name: source for name, (_, source) in SOURCES.items()}
    changed = energy(1, 1, grams_per_kwh=56)
    assert changed.sources["grams_per_kwh"] == "given"
    assert changed.sources["joules_per_flop"] == default.sources["joules_per_flop"]
    assert "joules_per_int_op" not in changed.assumptions  # nothing was charged to it


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"watts": 250.0}, "watts and seconds together"),
        ({"seconds": 2.0}, "watts and seconds together"),
        ({"watts": -1.0, "seconds": 2.0}, "watts: expected a finite number >= 0, got -1"),
        ({"flops": -3}, "flops: expected a finite number >= 0, got -3"),
        ({"joules_per_byte": float("nan")}, "joules_per_byte: expected a finite number >= 0, got nan"),
        ({"grams_per_kwh": float("inf")}, "grams_per_kwh: expected a finite number >= 0, got inf"),
    ],
)
def test_impossible_numbers_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        energy(**settings)


def test_inference_is_charged_by_the_sample() -> None:
    for batch in (1, 5, "batch"):
        report = count(load(one_node("Relu", (batch, 7, 3))))
        assert report.energy(joules_per_flop=1, joules_per_byte=0).joules == 21
        assert report.energy(samples=13, joules_per_flop=0, joules_per_byte=1).joules == 13 * 21 * (4 + 4)
    with pytest.raises(ShapeError, match="energy: expected every dimension bound, got free ones: seq"):
        count(load(one_node("Relu", (1, "seq")))).energy()


def test_integers_are_charged_as_such() -> None:
    nodes = [op("q, s, z = DynamicQuantizeLinear(x)"), op("i = MatMulInteger(q, w, z)"), op("y = Cast(i)", to=1)]
    report = count(load(network(nodes, {"w": np.ones((7, 3), np.uint8)})))
    found = report.energy(samples=5, joules_per_flop=0, joules_per_byte=0, joules_per_int_op=1)
    assert found.joules == whole(report.cost.int_ops) > 2 * 5 * 7 * 3


def test_training_is_charged_with_its_own_work() -> None:
    training = count(load(network(TWO_LAYERS, WEIGHTS))).training(samples=10, optimizer="adam")
    assert training.energy(joules_per_flop=1, joules_per_byte=0).joules == training.flops
    assert training.energy(joules_per_flop=0, joules_per_byte=1).joules == training.bytes_moved
    measured: Energy = training.energy(watts=30, seconds=2)
    assert measured.joules == 60


def test_no_energy_is_a_part_of_the_count() -> None:
    """It is an estimate beside it: nothing of it enters the JSON of the count."""
    assert "joules" not in json.dumps(count(load(network(TWO_LAYERS, WEIGHTS))).to_dict())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 J"), (1.0, "1.00 J"), (0.0302, "30.2 mJ"), (255.4, "255 J"), (999.96, "1.00 kJ"), (2299.0, "2.30 kJ"),
        (3.6e6, "3.60 MJ"), (9.02e-8, "90.2 nJ"), (1.2e-17, "0.00 pJ"), (7.5e17, "750000 TJ"), (4.2e-6, "4.20 µJ"),
    ],
)  # fmt: skip
def test_three_digits_and_a_prefix(value: float, text: str) -> None:
    assert si(value, "J") == text


def test_print_flops_report_shows_energy_as_an_estimate_with_its_constants(capsys: pytest.CaptureFixture[str]) -> None:
    model = network(TWO_LAYERS, WEIGHTS, x=("batch", 7))
    wua.print_flops_report(model, 3, 1013, optimizer="adam", batch_size=32, energy={"grams_per_kwh": 56})
    text = capsys.readouterr().out
    assert "Energy and carbon (estimates" in text
    assert re.search(r"optimizer: 96 steps over 121 trainable parameters\n", text)
    assert f"{96 * 121 * 12:,}" in text
    expected = count(load(model)).training(samples=1013, epochs=3, optimizer="adam", batch_size=32).energy()
    assert re.search(rf"training +{re.escape(si(expected.joules, 'J'))} +{expected.kwh:.3g} ", text)
    assert "20.51 pJ per FLOP: NVIDIA A100, 400 W at 19.5 Tflop/s in float32\n" in text
    assert "56 g CO₂ per kWh: given\n" in text


def test_measured_power_is_that_of_the_training(capsys: pytest.CaptureFixture[str]) -> None:
    wua.print_flops_report(network(TWO_LAYERS, WEIGHTS), 1, 5, energy={"watts": 30, "seconds": 7.5})
    text = capsys.readouterr().out
    assert re.search(r"training \(measured\) +225 J ", text)
    assert re.search(r"one sample +\S+ nJ ", text)
    assert "30 W in training: given\n7.5 s of training: given\n" in text
