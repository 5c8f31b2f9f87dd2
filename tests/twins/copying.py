"""Giving a layer of Keras the weights of a module of PyTorch, each in its own framework's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """One network in both frameworks, and the same samples as each wants them.

    Attributes:
        names: which of PyTorch's layers each layer of Keras is, in the order of the audit.
    """

    module: torch.nn.Module
    model: Any
    X: Array
    X_keras: Array
    names: dict[str, str]


def array(parameter: Any) -> Array:
    made: Array = parameter.detach().numpy()
    return made


def samples(*shape: int) -> Array:
    return np.random.default_rng(2).standard_normal(shape, dtype=np.float32)


def channels_last(images: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(images, 1, -1))


def randomised(module: Any) -> Any:
    """Give every normalisation values of its own: an untrained one would hide a mistake."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, torch.nn.LayerNorm | torch.nn.GroupNorm | torch.nn.modules.batchnorm._BatchNorm):
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.uniform_(-0.2, 0.2, generator=generator)
            if hasattr(part, "running_var"):
                part.running_mean.uniform_(-0.1, 0.1, generator=generator)
                part.running_var.uniform_(0.5, 1.5, generator=generator)
    return module


def dense(module: Any) -> list[Array]:
    """Keras has (in, out), PyTorch (out, in)."""
    return [array(module.weight).T, *_bias(module)]


def convolution(module: Any) -> list[Array]:
    """Keras has (height, width, in / groups, out), PyTorch (out, in / groups, height, width)."""
    return [array(module.weight).transpose(2, 3, 1, 0), *_bias(module)]


def along_one_axis(module: Any) -> list[Array]:
    """Keras has (length, in / groups, out), PyTorch (out, in / groups, length)."""
    return [array(module.weight).transpose(2, 1, 0), *_bias(module)]


def depthwise(module: Any) -> list[Array]:
    """Keras has (height, width, channels, multiplier); a multiplier of 1 only."""
    return [array(module.weight).transpose(2, 3, 0, 1), *_bias(module)]


def transposed(module: Any) -> list[Array]:
    """Keras has (height, width, out, in), PyTorch (in, out, height, width)."""
    return [array(module.weight).transpose(2, 3, 1, 0), *_bias(module)]


def _bias(module: Any) -> list[Array]:
    return [] if module.bias is None else [array(module.bias)]


def norm(module: Any) -> list[Array]:
    """BatchNorm, LayerNorm and GroupNorm."""
    names = ("weight", "bias", "running_mean", "running_var")
    return [array(getattr(module, name)) for name in names if hasattr(module, name)]


def embedding(module: Any) -> list[Array]:
    return [array(module.weight)]


def lstm(module: Any, suffix: str = "_l0") -> list[Array]:
    """Both have the gates input, forget, cell, output; Keras has one bias, PyTorch two that are added."""
    w, r, b, c = (
        array(getattr(module, f"{name}{suffix}")) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    return [w.T, r.T, b + c]


def gru(module: Any, suffix: str = "_l0") -> list[Array]:
    """PyTorch has the gates reset, update, new; Keras update, reset, new, and two biases as PyTorch has."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    w, r, b, c = (_update_first(array(getattr(module, f"{name}{suffix}"))) for name in names)
    return [w.T, r.T, np.stack([b, c])]


def _update_first(stacked: Array) -> Array:
    reset, update, new = np.split(stacked, 3)
    return np.concatenate([update, reset, new])


def copied(model: Any, pairs: Mapping[str, tuple[Callable[[Any], list[Array]], Any]]) -> Any:
    """Return the Keras model with the weights of (how, module) for each of its layers' names."""
    for name, (how, module) in pairs.items():
        model.get_layer(name).set_weights(how(module))
    return model
