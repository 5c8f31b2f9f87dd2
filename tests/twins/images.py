"""Networks of images: the channels are the second axis in PyTorch and the last in Keras."""

from __future__ import annotations

from typing import Any

import keras
import torch
from torch import nn

from .copying import Array, Twins, channels_last, convolution, copied, dense, depthwise, norm, randomised, samples
from .copying import transposed as transposed_weights

layers = keras.layers
SAMPLES = 53


def _twins(module: Any, model: Any, X: Array, names: dict[str, str]) -> Twins:
    return Twins(module=module, model=model, X=X, X_keras=channels_last(X), names=names)


def lenet() -> Twins:
    """Flatten sees the channels first in PyTorch and last in Keras, so the rows of the layer behind it differ."""
    first, second, third = nn.Conv2d(1, 3, 5, padding=2), nn.Conv2d(3, 5, 5), nn.Linear(5 * 2 * 3, 11)
    fourth, last = nn.Linear(11, 7), nn.Linear(7, 5)
    module = nn.Sequential(
        first, nn.Tanh(), nn.AvgPool2d(2), second, nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), third, nn.Tanh(), fourth, nn.Tanh(), last, nn.Softmax(-1),
    )  # fmt: skip
    model = keras.Sequential(
        [
            keras.Input((16, 20, 1)),
            layers.Conv2D(3, 5, padding="same", activation="tanh", name="c1"),
            layers.AveragePooling2D(2),
            layers.Conv2D(5, 5, activation="tanh", name="c2"),
            layers.AveragePooling2D(2),
            layers.Permute((3, 1, 2)),
            layers.Flatten(),
            layers.Dense(11, activation="tanh", name="d1"),
            layers.Dense(7, activation="tanh", name="d2"),
            layers.Dense(5, activation="softmax", name="d3"),
        ]
    )
    pairs = {
        "c1": (convolution, first), "c2": (convolution, second),
        "d1": (dense, third), "d2": (dense, fourth), "d3": (dense, last),
    }  # fmt: skip
    names = {"c1": "0", "c2": "3", "d1": "7", "d2": "9", "d3": "11"}
    return _twins(module, copied(model, pairs), samples(SAMPLES, 1, 16, 20), names)


def cnn() -> Twins:
    """PyTorch's exporter folds every BatchNorm; tf2onnx folds that after Conv and leaves Mul and Add after Dense."""
    module = randomised(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, groups=2, stride=2),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, 11),
            nn.BatchNorm1d(11),
            nn.ReLU(),
            nn.Linear(11, 5),
            nn.Softmax(-1),
        )
    )
    model = keras.Sequential(
        [
            keras.Input((11, 11, 3)),
            layers.Conv2D(8, 3, use_bias=False, name="c1"),
            layers.BatchNormalization(epsilon=1e-5, name="b1"),
            layers.ReLU(),
            layers.Conv2D(16, 3, groups=2, strides=2, activation="silu", name="c2"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(11, name="d1"),
            layers.BatchNormalization(epsilon=1e-5, name="b2"),
            layers.ReLU(),
            layers.Dense(5, activation="softmax", name="d2"),
        ]
    )
    pairs = {
        "c1": (convolution, module[0]), "b1": (norm, module[1]), "c2": (convolution, module[3]),
        "d1": (dense, module[7]), "b2": (norm, module[8]), "d2": (dense, module[10]),
    }  # fmt: skip
    names = {"c1": "0", "c2": "3", "d1": "7", "d2": "10"}
    return _twins(module, copied(model, pairs), samples(SAMPLES, 3, 11, 11), names)


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
        self.conv2, self.bn2 = nn.Conv2d(5, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
        self.down, self.bn3 = nn.Conv2d(3, 5, 1, bias=False), nn.BatchNorm2d(5)
        self.fc = nn.Linear(5, 7)

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return self.fc(torch.relu(y + self.bn3(self.down(x))).mean((2, 3)))


def resnet() -> Twins:
    """A residual block with BatchNorm behind each of its convolutions."""
    module = randomised(_Residual())
    x = keras.Input((7, 11, 3))

    def normed(name: str, norm_name: str, size: int, x: Any) -> Any:
        y = layers.Conv2D(5, size, padding="same", use_bias=False, name=name)(x)
        return layers.BatchNormalization(epsilon=1e-5, name=norm_name)(y)

    y = normed("conv2", "bn2", 3, layers.ReLU()(normed("conv1", "bn1", 3, x)))
    y = layers.ReLU()(layers.Add()([y, normed("down", "bn3", 1, x)]))
    model = keras.Model(x, layers.Dense(7, name="fc")(layers.GlobalAveragePooling2D()(y)))
    pairs: dict[str, Any] = {name: (convolution, getattr(module, name)) for name in ("conv1", "conv2", "down")}
    pairs |= {name: (norm, getattr(module, name)) for name in ("bn1", "bn2", "bn3")} | {"fc": (dense, module.fc)}
    names = {name: name for name in ("conv1", "conv2", "down", "fc")}
    return _twins(module, copied(model, pairs), samples(SAMPLES, 3, 7, 11), names)


def separable() -> Twins:
    """Depthwise and pointwise convolutions with BatchNorm and ReLU6, as MobileNet has."""
    module = randomised(
        nn.Sequential(
            nn.Conv2d(3, 5, 3, stride=2, bias=False), nn.BatchNorm2d(5), nn.ReLU6(),
            nn.Conv2d(5, 5, 3, padding=1, groups=5, bias=False), nn.BatchNorm2d(5), nn.ReLU6(),
            nn.Conv2d(5, 7, 1, bias=False), nn.BatchNorm2d(7), nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 11),
        )
    )  # fmt: skip
    model = keras.Sequential(
        [
            keras.Input((13, 17, 3)),
            layers.Conv2D(5, 3, strides=2, use_bias=False, name="stem"),
            layers.BatchNormalization(epsilon=1e-5, name="n1"),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise"),
            layers.BatchNormalization(epsilon=1e-5, name="n2"),
            layers.ReLU(6.0),
            layers.Conv2D(7, 1, use_bias=False, name="pointwise"),
            layers.BatchNormalization(epsilon=1e-5, name="n3"),
            layers.ReLU(6.0),
            layers.GlobalAveragePooling2D(),
            layers.Dense(11, name="last"),
        ]
    )
    pairs: dict[str, Any] = {name: (norm, module[at]) for name, at in (("n1", 1), ("n2", 4), ("n3", 7))}
    pairs |= {"stem": (convolution, module[0]), "depthwise": (depthwise, module[3])}
    pairs |= {"pointwise": (convolution, module[6]), "last": (dense, module[11])}
    names = {"stem": "0", "depthwise": "3", "pointwise": "6", "last": "11"}
    return _twins(module, copied(model, pairs), samples(SAMPLES, 3, 13, 17), names)


class _UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enter, self.n1 = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.deep = nn.Conv2d(3, 5, 3, padding=1)
        self.up, self.n2 = nn.ConvTranspose2d(5, 7, 2, stride=2), nn.BatchNorm2d(7)
        self.leave = nn.Conv2d(10, 2, 1)

    def forward(self, x: Any) -> Any:
        side = torch.relu(self.n1(self.enter(x)))
        deep = torch.relu(self.deep(nn.functional.max_pool2d(side, 2)))
        return torch.sigmoid(self.leave(torch.cat([side, torch.relu(self.n2(self.up(deep)))], 1)))


def unet() -> Twins:
    """Down, up again by a transposed convolution with BatchNorm, and the skipped channels beside it."""
    module = randomised(_UNet())
    x = keras.Input((6, 8, 2))
    side = layers.Conv2D(3, 3, padding="same", name="enter")(x)
    side = layers.ReLU()(layers.BatchNormalization(epsilon=1e-5, name="n1")(side))
    deep = layers.Conv2D(5, 3, padding="same", activation="relu", name="deep")(layers.MaxPooling2D()(side))
    up = layers.Conv2DTranspose(7, 2, strides=2, name="up")(deep)
    up = layers.ReLU()(layers.BatchNormalization(epsilon=1e-5, name="n2")(up))
    y = layers.Conv2D(2, 1, activation="sigmoid", name="leave")(layers.Concatenate()([side, up]))
    pairs: dict[str, Any] = {name: (convolution, getattr(module, name)) for name in ("enter", "deep", "leave")}
    pairs |= {"up": (transposed_weights, module.up), "n1": (norm, module.n1), "n2": (norm, module.n2)}
    names = {name: name for name in ("enter", "deep", "up", "leave")}
    return _twins(module, copied(keras.Model(x, y), pairs), samples(SAMPLES, 2, 6, 8), names)


def grouped() -> Twins:
    """Keras writes a normalisation by group out; its scale is a factor of the neurons in both."""
    module = randomised(
        nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.GroupNorm(3, 6), nn.ReLU(),
            nn.Conv2d(6, 4, 3), nn.GroupNorm(2, 4), nn.SiLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 7),
        )
    )  # fmt: skip
    model = keras.Sequential(
        [
            keras.Input((9, 11, 3)),
            layers.Conv2D(6, 3, name="c1"),
            layers.GroupNormalization(3, epsilon=1e-5, name="g1"),
            layers.ReLU(),
            layers.Conv2D(4, 3, name="c2"),
            layers.GroupNormalization(2, epsilon=1e-5, name="g2"),
            layers.Activation("silu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(7, name="d1"),
        ]
    )
    pairs: dict[str, Any] = {"c1": (convolution, module[0]), "c2": (convolution, module[3]), "d1": (dense, module[8])}
    pairs |= {"g1": (norm, module[1]), "g2": (norm, module[4])}
    names = {"c1": "0", "c2": "3", "d1": "8"}
    return _twins(module, copied(model, pairs), samples(SAMPLES, 3, 9, 11), names)
