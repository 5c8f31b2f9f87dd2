"""Networks of vectors, sequences and tokens."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch
from torch import nn

from .copying import Array, Twins, array, copied, dense, embedding, gru, lstm, norm, randomised, samples

layers = keras.layers
SAMPLES, STEPS, INPUTS, HIDDEN = 53, 7, 5, 11
WORDS, WIDTH, HEADS = 23, 6, 2


def exact_gelu(x: Any) -> Any:
    return keras.activations.gelu(x, approximate=False)


def mlp() -> Twins:
    module = nn.Sequential(nn.Linear(7, 13), nn.Tanh(), nn.Linear(13, 17), nn.GELU(), nn.Linear(17, 5), nn.Sigmoid())
    model = keras.Sequential(
        [
            keras.Input((7,)),
            layers.Dense(13, activation="tanh", name="d1"),
            layers.Dense(17, activation=exact_gelu, name="d2"),
            layers.Dense(5, activation="sigmoid", name="d3"),
        ]
    )
    X = samples(SAMPLES, 7)
    names = {"d1": "0", "d2": "2", "d3": "4"}
    pairs = {name: (dense, module[int(path)]) for name, path in names.items()}
    return Twins(module=module, model=copied(model, pairs), X=X, X_keras=X, names=names)


class _Recurrent(nn.Module):
    """A recurrent layer, and a layer that reads its last step."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.rnn, self.fc = kind(INPUTS, HIDDEN, batch_first=True), nn.Linear(HIDDEN, 3)

    def forward(self, x: Any) -> Any:
        return self.fc(self.rnn(x)[0][:, -1])


NAMES = {"rnn.kernel": "rnn.weight_ih_l0", "rnn.recurrent_kernel": "rnn.weight_hh_l0", "fc": "fc"}


def long_short_term() -> Twins:
    """PyTorch's is one operator; tf2onnx makes that of Keras's loop again."""
    return _recurrent(nn.LSTM, layers.LSTM, lstm)


def gated() -> Twins:
    """PyTorch's is one operator; tf2onnx leaves Keras's loop."""
    return _recurrent(nn.GRU, layers.GRU, gru)


def _recurrent(torch_kind: Any, keras_kind: Any, how: Any) -> Twins:
    module = _Recurrent(torch_kind)
    model = keras.Sequential([keras.Input((STEPS, INPUTS)), keras_kind(HIDDEN, name="rnn"), layers.Dense(3, name="fc")])
    copied(model, {"rnn": (how, module.rnn), "fc": (dense, module.fc)})
    X = samples(SAMPLES, STEPS, INPUTS)
    return Twins(module=module, model=model, X=X, X_keras=X, names=NAMES)


class _BothWays(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(INPUTS, HIDDEN, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * HIDDEN, 3)

    def forward(self, x: Any) -> Any:
        return self.fc(self.rnn(x)[0])


def both_ways() -> Twins:
    """One operator with both directions in one weight; tf2onnx joins Keras's two loops."""
    module = _BothWays()
    both = layers.Bidirectional(layers.LSTM(HIDDEN, return_sequences=True, name="it"), name="rnn")
    model = keras.Sequential([keras.Input((STEPS, INPUTS)), both, layers.Dense(3, name="fc")])
    both.forward_layer.set_weights(lstm(module.rnn))
    both.backward_layer.set_weights(lstm(module.rnn, "_l0_reverse"))
    copied(model, {"fc": (dense, module.fc)})
    X = samples(SAMPLES, STEPS, INPUTS)
    names = {
        "rnn.kernel": "rnn.weight_ih_l0",
        "rnn.recurrent_kernel": "rnn.weight_hh_l0",
        "fc": "fc",
    }
    return Twins(module=module, model=model, X=X, X_keras=X, names=names)


class _Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.hidden, self.last = nn.Embedding(WORDS, WIDTH), nn.Linear(WIDTH, 13), nn.Linear(13, 3)

    def forward(self, tokens: Any) -> Any:
        return self.last(torch.relu(self.hidden(self.words(tokens).mean(1))))


def embedding_classifier() -> Twins:
    module = _Words()
    tokens = keras.Input((STEPS,), dtype="int64")
    mean = layers.GlobalAveragePooling1D()(layers.Embedding(WORDS, WIDTH, name="words")(tokens))
    y = layers.Dense(3, name="last")(layers.Dense(13, activation="relu", name="hidden")(mean))
    pairs = {"words": (embedding, module.words), "hidden": (dense, module.hidden), "last": (dense, module.last)}
    X = np.random.default_rng(3).integers(0, WORDS, (SAMPLES, STEPS))
    names = {name: name for name in pairs}
    return Twins(module=module, model=copied(keras.Model(tokens, y), pairs), X=X, X_keras=X, names=names)


class _BothWaysGated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(INPUTS, HIDDEN, batch_first=True, bidirectional=True)

    def forward(self, x: Any) -> Any:
        return self.rnn(x)[0]


def both_ways_gated() -> Twins:
    """PyTorch's is one operator with both directions in one weight; Keras's are two loops with a weight each."""
    module = _BothWaysGated()
    both = layers.Bidirectional(layers.GRU(HIDDEN, return_sequences=True, name="it"), name="rnn")
    model = keras.Sequential([keras.Input((STEPS, INPUTS)), both])
    both.forward_layer.set_weights(gru(module.rnn))
    both.backward_layer.set_weights(gru(module.rnn, "_l0_reverse"))
    names = {
        "rnn/forward_it.kernel": "rnn.weight_ih_l0",
        "rnn/forward_it.recurrent_kernel": "rnn.weight_hh_l0",
        "rnn/backward_it.kernel": "rnn.weight_ih_l0",
        "rnn/backward_it.recurrent_kernel": "rnn.weight_hh_l0",
    }
    X = samples(SAMPLES, STEPS, INPUTS)
    return Twins(module=module, model=model, X=X, X_keras=X, names=names)


class _Attention(nn.Module):
    """Self-attention with a layer for each projection."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Any) -> Any:
        heads = [part(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)]
        return self.out(nn.functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))


class _Block(nn.Module):
    """An encoder block that normalises first."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.attention, self.norm2 = nn.LayerNorm(WIDTH), _Attention(), nn.LayerNorm(WIDTH)
        self.linear1, self.linear2 = nn.Linear(WIDTH, 13), nn.Linear(13, WIDTH)

    def forward(self, x: Any) -> Any:
        x = x + self.attention(self.norm1(x))
        return x + self.linear2(nn.functional.gelu(self.linear1(self.norm2(x))))


def encoder() -> Twins:
    """A transformer's encoder block with a layer for each projection, as Keras has; there they are products in 4-D."""
    module = randomised(_Block())
    names = {f"attention/{name}": f"attention.{name}" for name in ("query", "key", "value")}
    names |= {"attention/attention_output": "attention.out", "linear1": "linear1", "linear2": "linear2"}
    return _encoder(module, module, _heads(module.attention), names)


def packed_encoder() -> Twins:
    """PyTorch's own block packs query, key and value into one product that it cuts apart."""
    block: Any = randomised(
        nn.TransformerEncoderLayer(WIDTH, HEADS, 13, activation="gelu", batch_first=True, norm_first=True)
    )
    names = {f"attention/{name}": "self_attn.in_proj_weight" for name in ("query", "key", "value")}
    names |= {"attention/attention_output": "self_attn.out_proj", "linear1": "linear1", "linear2": "linear2"}
    return _encoder(block, block, _packed_heads(block.self_attn), names)


def _encoder(module: Any, block: Any, attention: list[Array], names: dict[str, str]) -> Twins:
    x = keras.Input((STEPS, WIDTH))
    normed = layers.LayerNormalization(epsilon=1e-5, name="norm1")(x)
    y = layers.Add()([x, layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name="attention")(normed, normed)])
    z = layers.LayerNormalization(epsilon=1e-5, name="norm2")(y)
    z = layers.Dense(13, activation=exact_gelu, name="linear1")(z)
    model = keras.Model(x, layers.Add()([y, layers.Dense(WIDTH, name="linear2")(z)]))
    pairs = {
        "norm1": (norm, block.norm1), "norm2": (norm, block.norm2),
        "linear1": (dense, block.linear1), "linear2": (dense, block.linear2),
    }  # fmt: skip
    model.get_layer("attention").set_weights(attention)
    X = samples(SAMPLES, STEPS, WIDTH)
    return Twins(module=module, model=copied(model, pairs), X=X, X_keras=X, names=names)


def _heads(module: Any) -> list[Array]:
    """Keras has (in, heads, size) and biases of (heads, size) for query, key and value, then (heads, size, out)."""
    made: list[Array] = []
    for part in (module.query, module.key, module.value):
        made += [array(part.weight).T.reshape(WIDTH, HEADS, -1), array(part.bias).reshape(HEADS, -1)]
    return [*made, array(module.out.weight).T.reshape(HEADS, -1, WIDTH), array(module.out.bias)]


def _packed_heads(module: Any) -> list[Array]:
    made: list[Array] = []
    packed = zip(np.split(array(module.in_proj_weight), 3), np.split(array(module.in_proj_bias), 3), strict=True)
    for weight, bias in packed:
        made += [weight.T.reshape(WIDTH, HEADS, -1), bias.reshape(HEADS, -1)]
    return [*made, array(module.out_proj.weight).T.reshape(HEADS, -1, WIDTH), array(module.out_proj.bias)]
