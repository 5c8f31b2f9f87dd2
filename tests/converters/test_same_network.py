"""One network, written in PyTorch and in Keras with the same weights, becomes ONNX that computes the same."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from wua_onnx.converters import Converted, to_onnx

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

layers = keras.layers
Array = np.ndarray[Any, Any]


def samples(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def run(converted: Converted, x: Array) -> Array:
    session = onnxruntime.InferenceSession(converted.path, providers=["CPUExecutionProvider"])
    result: Array = session.run(None, {session.get_inputs()[0].name: x})[0]
    return result


def copy_dense(source: nn.Linear, target: Any) -> None:
    target.set_weights([source.weight.detach().numpy().T, source.bias.detach().numpy()])


def copy_convolution(source: nn.Conv2d, target: Any) -> None:
    assert source.bias is not None
    target.set_weights([source.weight.detach().numpy().transpose(2, 3, 1, 0), source.bias.detach().numpy()])


def test_multilayer_perceptron(tmp_path: Path) -> None:
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(5, 11), nn.ReLU(), nn.Linear(11, 7), nn.GELU(), nn.Linear(7, 3), nn.Softmax(1))
    names, acts = ["a", "b", "c"], ["relu", "gelu", "softmax"]
    dense = [layers.Dense(n, activation=f, name=name) for n, f, name in zip([11, 7, 3], acts, names, strict=True)]
    theirs = keras.Sequential([keras.Input((5,)), *dense])
    linear = [part for part in ours if isinstance(part, nn.Linear)]
    for source, target in zip(linear, dense, strict=True):
        copy_dense(source, target)
    x = samples(13, 5)
    first = to_onnx(ours, tmp_path / "torch.onnx", x)
    second = to_onnx(theirs, tmp_path / "keras.onnx", x)
    np.testing.assert_allclose(run(first, x), run(second, x), atol=1e-5)
    assert list(first.layer_names.values()) == ["0", "2", "4"]
    assert set(second.layer_names.values()) == {"a", "b", "c"}


def test_convolutional_network(tmp_path: Path) -> None:
    """Images are (batch, channel, height, width) in PyTorch and channels last in Keras; so is what Flatten gives."""
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(2, 3, 3), nn.Conv2d(3, 5, 3, padding=1)]
    norm, last = nn.BatchNorm2d(3), nn.Linear(5 * 3 * 2, 7)
    assert norm.running_mean is not None
    norm.running_mean.uniform_(-1, 1)
    ours = nn.Sequential(
        convolutions[0], norm, nn.ReLU(), nn.MaxPool2d(2), convolutions[1], nn.ReLU(), nn.Flatten(), last
    )
    theirs = keras.Sequential(
        [
            keras.Input((8, 7, 2)),
            layers.Conv2D(3, 3),
            layers.BatchNormalization(epsilon=norm.eps),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Conv2D(5, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(7),
        ]
    )
    copy_convolution(convolutions[0], theirs.layers[0])
    copy_convolution(convolutions[1], theirs.layers[4])
    parts = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    theirs.layers[1].set_weights([part.detach().numpy() for part in parts if part is not None])
    # PyTorch flattens (5, 3, 2), Keras (3, 2, 5).
    kernel = last.weight.detach().numpy().reshape(7, 5, 3, 2).transpose(2, 3, 1, 0).reshape(30, 7)
    theirs.layers[6].set_weights([kernel, last.bias.detach().numpy()])
    x = samples(13, 2, 8, 7)
    first = to_onnx(ours, tmp_path / "torch.onnx", x)
    second = to_onnx(theirs, tmp_path / "keras.onnx", x.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(run(first, x), run(second, x.transpose(0, 2, 3, 1)), atol=1e-5)
