"""Every activation function of Keras, each behind a layer of its own, in one model."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import onnx

from wua_onnx.converters._tf_graph import _handlers

from .function_torch import INPUT, NEURONS, samples
from .graphs import Array

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras
    import tensorflow as tf
    import tf2onnx

of, layers = keras.activations, keras.layers

# What is read: the name of the function, and the function.
CASES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "elu": ("ELU", of.elu),
    "elu_alpha": ("ELU", lambda x: of.elu(x, 0.3)),
    "elu_layer": ("ELU", layers.ELU(0.7)),
    "exponential": ("Exp", of.exponential),
    "hard_shrink": ("Shrink", lambda x: of.hard_shrink(x, 0.3)),
    "hard_sigmoid": ("HardSigmoid", of.hard_sigmoid),
    "hard_silu": ("HardSwish", of.hard_silu),
    "hard_tanh": ("Clip", of.hard_tanh),
    "leaky_relu": ("LeakyReLU", of.leaky_relu),
    "leaky_relu_layer": ("LeakyReLU", layers.LeakyReLU(0.3)),
    "log_sigmoid": ("LogSigmoid", of.log_sigmoid),
    "log_softmax": ("LogSoftmax", of.log_softmax),
    "mish": ("Mish", of.mish),
    "prelu_layer": ("PReLU", layers.PReLU(keras.initializers.RandomUniform(-0.2, 0.3, seed=1))),
    "relu": ("ReLU", of.relu),
    "relu6": ("ReLU6", of.relu6),
    "relu6_layer": ("ReLU6", layers.ReLU(6.0)),
    "relu_capped": ("Clip", lambda x: of.relu(x, max_value=2.0)),
    "relu_sloped": ("LeakyReLU", lambda x: of.relu(x, negative_slope=0.2)),
    "relu_sloped_capped": ("elementwise (Clip, Relu)", lambda x: of.relu(x, negative_slope=0.1, max_value=6.0)),
    "relu_threshold": ("ThresholdedReLU", lambda x: of.relu(x, threshold=0.4)),
    "selu": ("SELU", of.selu),
    "sigmoid": ("Sigmoid", of.sigmoid),
    "silu": ("SiLU", of.silu),
    "soft_shrink": ("Shrink", lambda x: of.soft_shrink(x, 0.2)),
    "softmax": ("Softmax", of.softmax),
    "softmax_layer": ("Softmax", layers.Softmax()),
    "softplus": ("Softplus", of.softplus),
    "softsign": ("Softsign", of.softsign),
    "sparse_plus": ("Sparse plus", of.sparse_plus),
    "sparse_sigmoid": ("HardSigmoid", of.sparse_sigmoid),
    "squareplus": ("Squareplus", of.squareplus),
    "squareplus_b": ("Squareplus", lambda x: of.squareplus(x, 1)),
    "sparsemax": ("Sparsemax", of.sparsemax),
    "layer_norm_relu": ("ReLU", keras.Sequential([layers.LayerNormalization(), layers.ReLU()])),
    "tanh": ("Tanh", of.tanh),
    "tanh_shrink": ("Tanhshrink", of.tanh_shrink),
    "threshold": ("Threshold", lambda x: of.threshold(x, 0.2, 20.0)),
    "threshold_0": ("ThresholdedReLU", lambda x: of.threshold(x, 0.4, 0.0)),
    "gelu": ("GELU", lambda x: of.gelu(x, approximate=False)),
    "gelu_tanh": ("GELU (tanh)", lambda x: of.gelu(x, approximate=True)),
    "absolute": ("Abs", keras.ops.abs),
    "square": ("Square", keras.ops.square),
}


@cache
def everything() -> tuple[Any, Mapping[str, Array]]:
    """Return the model, and what each branch gives by name."""
    keras.utils.set_random_seed(1)
    x, outputs = keras.Input((INPUT,), name="x"), {}
    for name, (_, function) in CASES.items():
        behind = function if isinstance(function, layers.Layer) else layers.Activation(function)
        outputs[name] = behind(layers.Dense(NEURONS, name=f"of_{name}", bias_initializer="random_normal")(x))
    model = keras.Model(x, outputs)
    return model, {name: np.asarray(value) for name, value in model(samples()).items()}


@cache
def export(opset: int) -> onnx.ModelProto:
    """Return `everything` as tf2onnx writes it, with this library's own operators where it has none."""
    signature = [tf.TensorSpec((None, INPUT), tf.float32, name="x")]
    function = tf.function(everything()[0], input_signature=signature)
    logging.disable(logging.WARNING)
    try:
        proto, _ = tf2onnx.convert.from_function(
            function, input_signature=signature, opset=opset, custom_op_handlers=_handlers()
        )
    finally:
        logging.disable(logging.NOTSET)
    assert isinstance(proto, onnx.ModelProto)
    return proto
