"""Multiply-accumulates of torchvision's classification models against the package's own published figures.

The graphs hold no weights (see graphs/make.py): their external data file is absent.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from wua_onnx.cost import count
from wua_onnx.errors import ExternalDataError
from wua_onnx.model import load

GRAPHS = Path(__file__).parent / "graphs"

# `meta["_ops"]` of the default weights, torchvision 0.28: giga multiply-accumulates of one image, three decimals.
PUBLISHED = {
    "alexnet": 0.714,
    "convnext_tiny": 4.456,
    "densenet121": 2.834,
    "efficientnet_b0": 0.386,
    "efficientnet_v2_s": 8.366,
    "googlenet": 1.498,
    "inception_v3": 5.713,
    "mnasnet1_0": 0.314,
    "mobilenet_v2": 0.301,
    "mobilenet_v3_large": 0.217,
    "mobilenet_v3_small": 0.057,
    "regnet_x_400mf": 0.414,
    "regnet_y_400mf": 0.402,
    "resnet18": 1.814,
    "resnet50": 4.089,
    "resnext50_32x4d": 4.23,
    "shufflenet_v2_x1_0": 0.145,
    "squeezenet1_1": 0.349,
    "swin_t": 4.491,
    "vgg16": 15.47,
    "vit_b_16": 17.564,
    "wide_resnet50_2": 11.398,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_macs_are_the_published_ones(name: str) -> None:
    report = count(load(GRAPHS / f"{name}.onnx"))
    assert report.unsupported == {}
    assert report.is_exact
    assert report.symbols == ("batch",)
    assert round(int(report.at(batch=1).macs) / 1e9, 3) == PUBLISHED[name]


def test_every_graph_stands_in_the_table() -> None:
    assert {path.stem for path in GRAPHS.glob("*.onnx")} == set(PUBLISHED)


def test_counting_needs_no_weight_and_reading_one_says_what_is_missing() -> None:
    model = load(GRAPHS / "resnet18.onnx")
    report = count(model)
    assert report.params > 11_000_000
    weight = next(v for v in model.ir_model.graph.initializers.values() if v.shape is not None and len(v.shape) == 4)
    with pytest.raises(ExternalDataError, match=r"absent\.bin'.*expected the file beside the model, got none"):
        model.weight(weight)
