"""Every form of attention as a user sees it: `wua.analyze` gives each head its importance, of large layers too."""

from __future__ import annotations

import numpy as np
import pytest

import wua_onnx as wua
from wua_onnx import _attention
from wua_onnx.layers.attention import find_attention
from wua_onnx.layers.find import find_layers
from wua_onnx.model import load

from .attention_models import WRITTEN, Case
from .graphs import Array


def audited(made: Case) -> wua.Audit:
    return wua.analyze(made.proto, made.feeds, mask=False)


def summed(made: Case, audit: wua.Audit) -> Array:
    """Add up the importances of each head's weights one by one; those of shared heads are divided equally."""
    model = load(made.proto)
    (block,) = find_attention(model, find_layers(model).by_name)
    total = np.zeros(made.heads)
    for part in ("query", "key", "value", "output"):
        for found in block.parts[part]:
            assert found.layer is not None
            layer = audit.layers[found.layer]
            axis = layer.neuron_axis if part != "output" else 1 - layer.neuron_axis
            scores = np.moveaxis(np.asarray(layer.importance, np.float64), axis, 0)
            for head in range(made.heads):
                own = head if part in ("query", "output") else block.kv_head_of[head]
                sharing = 1 if part in ("query", "output") else block.kv_head_of.count(own)
                total[head] += scores[found.heads == own].sum() / sharing
    return total


@pytest.mark.parametrize("name", WRITTEN)
def test_the_importance_of_every_head(name: str) -> None:
    made: Case = WRITTEN[name]()
    audit = audited(made)
    (block,) = audit.attention
    assert (block.heads, block.kv_heads) == (made.heads, made.kv_heads)
    assert block.head_importance is not None
    np.testing.assert_allclose(block.head_importance, summed(made, audit), rtol=1e-5)
    assert block.similarity is not None
    assert audit.coverage["unrecorded"] == []


@pytest.mark.parametrize("name", ["separate projections", "com.microsoft Attention", "grouped queries, norms, rotary"])
def test_layers_larger_than_the_limit_are_scored_in_slabs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: Case = WRITTEN[name]()
    (whole,) = audited(made).attention
    monkeypatch.setattr(_attention, "LARGEST", 50)
    (block,) = audited(made).attention
    assert block.head_importance is not None
    np.testing.assert_allclose(block.head_importance, np.asarray(whole.head_importance), rtol=1e-6)
    assert block.similarity is not None
    np.testing.assert_allclose(block.similarity, np.asarray(whole.similarity), rtol=1e-5)
