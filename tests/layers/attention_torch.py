"""Attention as PyTorch's own modules and those of well-known models write it, through both exporters."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from .attention_models import BATCH, HEADS, KV_HEADS, OTHERS, TOKENS, Case
from .graphs import Array

HEAD = 4
WIDTH = HEADS * HEAD


class Alone(nn.Module):
    """nn.MultiheadAttention on one sequence, or on two."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        source = x if other is None else other
        result: Tensor = self.attention(x, source, source, need_weights=False)[0]
        return result


class Packed(nn.Module):
    """As GPT-2: a weight of (in, 3 · out) as Conv1D keeps it, split; causal."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, 3 * WIDTH) / WIDTH**0.5)
        self.bias = nn.Parameter(torch.randn(3 * WIDTH))
        self.c_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        packed: Tensor = torch.addmm(self.bias, x.view(-1, WIDTH), self.weight).view(*x.shape[:-1], 3 * WIDTH)
        parts = (packed[..., start : start + WIDTH] for start in (0, WIDTH, 2 * WIDTH))
        q, k, v = (part.view(*part.shape[:-1], HEADS, HEAD).transpose(1, 2) for part in parts)
        found = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        result: Tensor = self.c_proj(found.transpose(1, 2).reshape(x.shape))
        return result


class Pointwise(nn.Module):
    """A function of each score by itself in place of the softmax: sigmoid, squared ReLU, SiLU."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.qkv, self.proj, self.function = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH), function

    def forward(self, x: Tensor) -> Tensor:
        packed = self.qkv(x).reshape(*x.shape[:-1], 3, HEADS, HEAD).permute(2, 0, 3, 1, 4)
        q, k, v = packed.unbind(0)
        found = self.function(q @ k.transpose(-2, -1) - 0.5) @ v
        result: Tensor = self.proj(found.transpose(1, 2).reshape(x.shape))
        return result


class Grouped(nn.Module):
    """As Llama and Qwen3: grouped queries, norms of queries and keys, rotary embedding, keys repeated by expanding."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.k_proj = nn.Linear(WIDTH, KV_HEADS * HEAD)
        self.v_proj = nn.Linear(WIDTH, KV_HEADS * HEAD)
        self.o_proj = nn.Linear(WIDTH, WIDTH)
        self.gain = nn.Parameter(torch.rand(HEAD) + 0.5)

    def _normed(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.gain

    def _rotated(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=-1)
        return x * cos + torch.cat((-second, first), dim=-1) * sin

    def _repeated(self, x: Tensor) -> Tensor:
        shape = x.shape
        wide = x[:, :, None].expand(shape[0], KV_HEADS, HEADS // KV_HEADS, shape[2], HEAD)
        return wide.reshape(shape[0], HEADS, shape[2], HEAD)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            layer(x).view(*x.shape[:-1], -1, HEAD).transpose(1, 2) for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        angle = torch.arange(x.shape[1])[:, None] / 3.0 ** torch.arange(HEAD // 2)
        cos, sin = (function(torch.cat((angle, angle), dim=-1)) for function in (torch.cos, torch.sin))
        q, k = self._rotated(self._normed(q), cos, sin), self._rotated(self._normed(k), cos, sin)
        scores = q @ self._repeated(k).transpose(2, 3) / HEAD**0.5
        found = scores.softmax(dim=-1) @ self._repeated(v)
        result: Tensor = self.o_proj(found.transpose(1, 2).reshape(x.shape))
        return result


class Patches(nn.Module):
    """As vision transformers: a class token, one packed projection, a pre-norm block with a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.norm = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1)
        packed = self.qkv(self.norm(x)).reshape(*x.shape[:-1], 3, HEADS, HEAD).permute(2, 0, 3, 1, 4)
        q, k, v = packed.unbind(0)
        found = (q * HEAD**-0.5 @ k.transpose(-2, -1)).softmax(dim=-1) @ v
        result: Tensor = x + self.proj(found.transpose(1, 2).reshape(x.shape))
        return result


class Separate(nn.Module):
    """As BERT and T5: three projections, a bias of the scores by position; keys and values of another sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.dense = nn.Linear(WIDTH, WIDTH)
        self.positions = nn.Parameter(torch.randn(1, HEADS, TOKENS, OTHERS))

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        def split(layer: nn.Linear, source: Tensor) -> Tensor:
            return torch.reshape(layer(source), (*source.shape[:-1], HEADS, HEAD)).permute(0, 2, 1, 3)

        q, k, v = split(self.query, x), split(self.key, other), split(self.value, other)
        scores = torch.matmul(q, k.transpose(-1, -2)) / HEAD**0.5 + self.positions
        found = nn.functional.dropout(nn.functional.softmax(scores, dim=-1), 0.1, self.training) @ v
        result: Tensor = self.dense(found.permute(0, 2, 1, 3).contiguous().flatten(2))
        return result


def _decoder() -> nn.Module:
    return nn.TransformerDecoderLayer(WIDTH, HEADS, dim_feedforward=17, batch_first=True)


# module, whether it reads two sequences, attentions in it, heads of keys and values
MODULES: dict[str, tuple[Callable[[], nn.Module], bool, int, int]] = {
    "nn.MultiheadAttention": (Alone, False, 1, HEADS),
    "nn.MultiheadAttention, two sequences": (Alone, True, 1, HEADS),
    "nn.TransformerDecoderLayer": (_decoder, True, 2, HEADS),
    "packed as in GPT-2": (Packed, False, 1, HEADS),
    "grouped as in Llama": (Grouped, False, 1, KV_HEADS),
    "packed as in vision transformers": (Patches, False, 1, HEADS),
    "separate as in BERT and T5": (Separate, True, 1, HEADS),
    "sigmoid": (lambda: Pointwise(torch.sigmoid), False, 1, HEADS),
    "squared ReLU": (lambda: Pointwise(lambda x: torch.relu(x) ** 2), False, 1, HEADS),
    "SiLU": (lambda: Pointwise(nn.functional.silu), False, 1, HEADS),
}
EXPORTERS = {"TorchScript, opset 14": (False, 14), "TorchScript, opset 17": (False, 17), "dynamo": (True, 18)}
EXPORTERS["dynamo, opset 23"] = (True, 23)

# PyTorch 2.13 cannot write this one: its causal flag has become a tensor.
REFUSED = {("nn.TransformerDecoderLayer", exporter) for exporter in EXPORTERS if exporter.startswith("TorchScript")}
CASES = [(module, exporter) for module in MODULES for exporter in EXPORTERS if (module, exporter) not in REFUSED]


def exported(module: str, exporter: str) -> tuple[Case, int]:
    """Return the exported module with random weights and its input, and how many attentions it has."""
    make, two, count, kv_heads = MODULES[module]
    dynamo, opset = EXPORTERS[exporter]
    torch.manual_seed(5)
    made = make().eval()
    with torch.no_grad():
        for parameter in made.parameters():  # biases that are not 0, and heads that differ
            parameter.add_(0.3 * torch.randn_like(parameter))
    given = {"x": torch.randn(BATCH, TOKENS, WIDTH), **({"other": torch.randn(BATCH, OTHERS, WIDTH)} if two else {})}
    proto = _export(made, tuple(given.values()), list(given), dynamo, opset)
    feeds: dict[str, Array] = {name: value.numpy() for name, value in given.items()}
    return Case(proto=proto, feeds=feeds, kv_heads=kv_heads), count


def _export(module: nn.Module, given: Any, names: list[str], dynamo: bool, opset: int) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both exporters warn of what they will change in later versions
        if dynamo:
            program = torch.onnx.export(
                module, given, dynamo=True, opset_version=opset, input_names=names, verbose=False
            )
            assert program is not None
            proto: onnx.ModelProto = program.model_proto
            return proto
        with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
            torch.onnx.export(module, given, file.name, dynamo=False, opset_version=opset, input_names=names)
            return onnx.load(file.name)
