"""Heads of attention of Keras layers: reshapes and matrix products in place of their einsums."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest

import wua_onnx as wua

from .attention_models import BATCH, HEAD, HEADS, INPUT, KV_HEADS, OTHERS, TOKENS
from .graphs import rand
from .removing import Surgery
from .test_attention import check_scores, check_values, check_whole

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras


@pytest.mark.parametrize("two", [False, True], ids=["one sequence", "two sequences"])
@pytest.mark.parametrize("kind", ["MultiHeadAttention", "GroupQueryAttention"])
def test_heads_of_keras_layers(kind: str, two: bool, tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    x, other = keras.Input((TOKENS, INPUT), name="x"), keras.Input((OTHERS, INPUT), name="other")
    grouped = kind == "GroupQueryAttention"
    layer = keras.layers.GroupQueryAttention(HEAD, HEADS, KV_HEADS) if grouped else None
    layer = layer or keras.layers.MultiHeadAttention(HEADS, HEAD, value_dim=5)
    model = keras.Model([x, other] if two else [x], layer(x, other if two else x))
    for seed, variable in enumerate(layer.variables):
        if "seed" not in variable.name:
            variable.assign(rand(*variable.shape, seed=seed) / np.float32(np.sqrt(INPUT)))
    path = wua.convert(model, tmp_path / "attention.onnx")
    feeds = {"x": rand(BATCH, TOKENS, INPUT, seed=1), **({"other": rand(BATCH, OTHERS, INPUT, seed=2)} if two else {})}
    surgery = Surgery(onnx.load(path), feeds)
    assert len(surgery.blocks) == 1
    check_whole(surgery, HEADS, KV_HEADS if grouped else HEADS)
    check_values(surgery)
    check_scores(surgery)
