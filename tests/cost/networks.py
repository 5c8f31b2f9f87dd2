"""Small networks of every family, built from torch.nn alone: primes throughout, so that no two sizes agree."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Classifier(nn.Module):
    """Convolutions with strides, dilation, groups and padding, then a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 14, 5, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(14, 21, (3, 2), dilation=2, groups=7, bias=False),
            nn.BatchNorm2d(21),
            nn.ReLU(),
            nn.Conv2d(21, 11, 1),
        )
        self.head = nn.Linear(11, 5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.body(x).mean((2, 3)))
        return y


class ResidualBlock(nn.Module):
    """The bottleneck of ResNet-50 after a stem, with the shortcut that changes the shape."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 13, 3)
        self.shortcut = nn.Conv2d(13, 19, 1, stride=2)
        self.path = nn.Sequential(
            nn.Conv2d(13, 7, 1), nn.ReLU(), nn.Conv2d(7, 7, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(7, 19, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        y: Tensor = (self.path(x) + self.shortcut(x)).relu()
        return y


class UNet(nn.Module):
    """One level down by a strided convolution and up by a transposed one, joined along the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3, padding=1)
        self.down = nn.Conv2d(5, 11, 2, stride=2)
        self.up = nn.ConvTranspose2d(11, 7, 2, stride=2)
        self.last = nn.Conv2d(12, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        wide = self.first(x).relu()
        y: Tensor = self.last(torch.cat([wide, self.up(self.down(wide).relu())], 1))
        return y


class Recurrent(nn.Module):
    """An LSTM in two layers and both directions, then a GRU, then a linear layer at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(7, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(10, 11, batch_first=True)
        self.head = nn.Linear(11, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.gru(self.lstm(x)[0])[0])
        return y


class Decoder(nn.Module):
    """Tokens and positions, causal self-attention with more heads for queries than needed, tied output weights."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(31, 12), nn.Parameter(torch.zeros(1, 7, 12))
        self.qkv, self.out = nn.Linear(12, 36), nn.Linear(12, 12)
        self.norm = nn.LayerNorm(12)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions
        q, k, v = (part.unflatten(-1, (3, 4)).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, -1))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        y: Tensor = x @ self.tokens.weight.T
        return y


def mlp() -> tuple[nn.Module, Tensor]:
    return nn.Sequential(nn.Linear(7, 13), nn.ReLU(), nn.Linear(13, 11, bias=False), nn.Tanh(), nn.Linear(11, 3)), (
        torch.zeros(5, 7)
    )


def separable() -> tuple[nn.Module, Tensor]:
    """A depthwise convolution and a pointwise one, after a stem."""
    layers = nn.Conv2d(3, 11, 3, stride=2), nn.Hardswish(), nn.Conv2d(11, 11, 5, groups=11), nn.Conv2d(11, 17, 1)
    return nn.Sequential(*layers), torch.zeros(2, 3, 23, 19)


def encoder() -> tuple[nn.Module, Tensor]:
    layer = nn.TransformerEncoderLayer(15, 3, 29, dropout=0.0, batch_first=True, activation="gelu")
    return nn.Sequential(nn.Linear(7, 15), layer), torch.zeros(2, 11, 7)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "mlp": mlp,
    "convolutions": lambda: (Classifier(), torch.zeros(2, 3, 29, 23)),
    "residual block": lambda: (ResidualBlock(), torch.zeros(2, 3, 17, 13)),
    "U-Net": lambda: (UNet(), torch.zeros(1, 3, 14, 22)),
    "depthwise separable": separable,
    "recurrent": lambda: (Recurrent(), torch.zeros(3, 4, 7)),
    "transformer encoder": encoder,
    "transformer decoder": lambda: (Decoder(), torch.zeros(2, 7, dtype=torch.int64)),
}
