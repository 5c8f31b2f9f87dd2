"""Modules with configurations, as Hugging Face's: told to be exportable meanwhile, and given back as they were."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from wua_onnx.converters import to_onnx

SAMPLES = np.ones((2, 3), np.float32)


class Decoder(nn.Module):
    """Returns its cache where its own configuration says so."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(3, 5)
        self.config = SimpleNamespace(use_cache=True)

    def forward(self, x: torch.Tensor) -> Any:
        made = self.dense(x)
        return (made, SimpleNamespace(keys=made)) if self.config.use_cache else made


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.decoder = Decoder()
        self.config = SimpleNamespace(use_cache=True)

    def forward(self, x: torch.Tensor) -> Any:
        return self.decoder(x)


def test_caches_of_parts_are_off_meanwhile(tmp_path: Path) -> None:
    module = Whole()
    to_onnx(module, tmp_path / "m.onnx", SAMPLES)
    assert module.config.use_cache is True
    assert module.decoder.config.use_cache is True


class Experts(nn.Module):
    """Two experts, of which each sample takes one; in a loop over values unless told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(2, 3, 5))
        self.config = SimpleNamespace(_experts_implementation_internal="eager")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        chosen = (x[:, 0] > 0).long()
        if self.config._experts_implementation_internal == "batched_mm":
            return torch.bmm(x[:, None], self.weights[chosen])[:, 0]
        return torch.stack([row @ self.weights[int(index)] for row, index in zip(x, chosen, strict=True)])


def test_experts_are_chosen_in_one_product_meanwhile(tmp_path: Path) -> None:
    module = Experts()
    to_onnx(module, tmp_path / "m.onnx", np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32))
    assert module.config._experts_implementation_internal == "eager"


def test_a_configuration_that_is_a_dict_is_left_alone(tmp_path: Path) -> None:
    module = nn.Linear(3, 5)
    module.config = {"use_cache": True}  # type: ignore[assignment] # modules of Hugging Face have one
    to_onnx(module, tmp_path / "m.onnx", SAMPLES)
    assert module.config == {"use_cache": True}
