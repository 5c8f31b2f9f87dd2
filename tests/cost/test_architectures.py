"""Whole architectures of torchvision and transformers against PyTorch's own counter, forward and backward.

Tiny sizes, random weights. Both packages are optional: what is not installed is not compared.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import wua_onnx as wua

from .test_differential import counted_by_pytorch, exported


@cache
def declared() -> torch.library.Library:
    """Declare the operators that a torchvision without its own binary registers functions for."""
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch's own
    for name in ("nms", "qnms"):
        with suppress(RuntimeError):  # they are there
            signature = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            library.define(signature)  # type: ignore[no-untyped-call]  # torch's own
    return library


def optional(name: str) -> Any:
    declared()  # transformers imports torchvision too
    return pytest.importorskip(name, reason=f"{name} is optional")


class Hidden(nn.Module):
    """A model of transformers as a function of its first argument, attention by its formula."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model.eval()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.model(x, return_dict=False)[0]
        return found


SMALL = {"hidden_size": 15, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 29}
TEXT = {"vocab_size": 31, "attn_implementation": "eager"}


def bert() -> tuple[nn.Module, Tensor]:
    transformers = optional("transformers")
    config = transformers.BertConfig(**SMALL, **TEXT, max_position_embeddings=11)
    return Hidden(transformers.BertModel(config, add_pooling_layer=False)), torch.zeros(2, 7, dtype=torch.int64)


def gpt2() -> tuple[nn.Module, Tensor]:
    transformers = optional("transformers")
    config = transformers.GPT2Config(**TEXT, n_embd=15, n_head=3, n_layer=2, n_positions=11, use_cache=False)
    return Hidden(transformers.GPT2Model(config)), torch.zeros(2, 7, dtype=torch.int64)


def vit() -> tuple[nn.Module, Tensor]:
    transformers = optional("transformers")
    config = transformers.ViTConfig(**SMALL, attn_implementation="eager", image_size=14, patch_size=7)
    return Hidden(transformers.ViTModel(config, add_pooling_layer=False)), torch.zeros(2, 3, 14, 14)


def of_torchvision(name: str, size: int) -> Callable[[], tuple[nn.Module, Tensor]]:
    def make() -> tuple[nn.Module, Tensor]:
        return getattr(optional("torchvision.models"), name)().eval(), torch.zeros(1, 3, size, size)

    return make


ARCHITECTURES = [
    pytest.param(bert, 18, id="bert-18"),
    pytest.param(gpt2, 23, id="gpt2-23"),
    pytest.param(vit, 20, id="vit-20"),
    pytest.param(of_torchvision("resnet18", 33), 25, id="resnet18-25"),
    pytest.param(of_torchvision("shufflenet_v2_x0_5", 37), 22, id="shufflenet-22"),
]


@pytest.mark.parametrize(("make", "opset"), ARCHITECTURES)
def test_macs_are_those_of_pytorch(make: Callable[[], tuple[nn.Module, Tensor]], opset: int) -> None:
    with warnings.catch_warnings():  # those of the packages, about themselves
        warnings.simplefilter("ignore")
        module, x = make()
    model = exported(module, x, opset)
    assert [o.version for o in model.opset_import if not o.domain] == [opset]
    report = wua.cost(model)
    assert report.is_exact
    assert (2 * report.macs, 2 * report.backward.macs) == counted_by_pytorch(module, x, "cpu")
