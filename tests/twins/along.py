"""Convolutions along one axis, and transposed ones whose output is padded."""

from __future__ import annotations

from typing import Any

import keras
import torch
from torch import nn
from torch.nn import functional

from .copying import Twins, along_one_axis, channels_last, convolution, copied, dense, norm, randomised, samples
from .copying import transposed as transposed_weights

layers = keras.layers
SAMPLES = 53


class _Causal(nn.Module):
    """Each step sees those before it: the line is padded at its beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.near, self.norm = nn.Conv1d(5, 7, 3), nn.BatchNorm1d(7)
        self.far, self.by = nn.Conv1d(7, 7, 3, dilation=2), nn.Conv1d(5, 7, 1)
        self.last = nn.Linear(7, 3)

    def forward(self, x: Any) -> Any:
        x = x.transpose(1, 2)
        y = torch.relu(self.norm(self.near(functional.pad(x, (2, 0)))))
        y = torch.relu(self.far(functional.pad(y, (4, 0))))
        return self.last((y + self.by(x)).mean(2))


def causal() -> Twins:
    """TensorFlow convolves lines as images of height 1."""
    module = randomised(_Causal())
    x = keras.Input((13, 5))
    y = layers.BatchNormalization(epsilon=1e-5, name="norm")(layers.Conv1D(7, 3, padding="causal", name="near")(x))
    far = layers.Conv1D(7, 3, dilation_rate=2, padding="causal", activation="relu", name="far")
    y = layers.Add()([far(layers.ReLU()(y)), layers.Conv1D(7, 1, name="by")(x)])
    model = keras.Model(x, layers.Dense(3, name="last")(layers.GlobalAveragePooling1D()(y)))
    pairs = {name: (along_one_axis, getattr(module, name)) for name in ("near", "far", "by")}
    pairs |= {"norm": (norm, module.norm), "last": (dense, module.last)}
    names = {name: name for name in ("near", "far", "by", "last")}
    X = samples(SAMPLES, 13, 5)
    return Twins(module=module, model=copied(model, pairs), X=X, X_keras=X, names=names)


def enlarging() -> Twins:
    """tf2onnx writes the padding of the output as padding below zero."""
    down, up, more = nn.Conv2d(3, 5, 3, stride=2), nn.ConvTranspose2d(5, 4, 3, 2, output_padding=1), nn.Conv2d(4, 2, 3)
    module = nn.Sequential(down, nn.ReLU(), up, nn.LeakyReLU(0.2), more)
    parts = [
        keras.Input((9, 11, 3)),
        layers.Conv2D(5, 3, strides=2, activation="relu", name="down"),
        layers.Conv2DTranspose(4, 3, strides=2, output_padding=1, name="up"),
        layers.LeakyReLU(negative_slope=0.2),
        layers.Conv2D(2, 3, name="more"),
    ]
    pairs = {"down": (convolution, down), "up": (transposed_weights, up), "more": (convolution, more)}
    X = samples(SAMPLES, 3, 9, 11)
    names = {"down": "0", "up": "2", "more": "4"}
    model = copied(keras.Sequential(parts), pairs)
    return Twins(module=module, model=model, X=X, X_keras=channels_last(X), names=names)
