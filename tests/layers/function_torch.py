"""Every activation function of PyTorch, each behind a layer of its own, in one model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from .graphs import Array, rand

INPUT, NEURONS, SAMPLES = 5, 7, 64


class Written(nn.Module):
    """A function that models write out themselves."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def slopes() -> nn.Module:
    """Return PReLU with a slope for each neuron."""
    module = nn.PReLU(NEURONS)
    nn.init.uniform_(module.weight, -0.3, 0.4)
    return module


def sparsemax(z: Tensor) -> Tensor:
    """Return the nearest probabilities (arXiv:1602.02068, algorithm 1)."""
    ordered = z.sort(-1, descending=True).values
    places, sums = torch.arange(1, NEURONS + 1, dtype=z.dtype), ordered.cumsum(-1)
    count = (1 + places * ordered > sums).sum(-1, keepdim=True)
    return (z - (sums.gather(-1, count - 1) - 1) / count.to(z.dtype)).clamp(min=0)


def entmax(z: Tensor) -> Tensor:
    """Return the 1.5-entmax (arXiv:1905.05702, algorithm 2)."""
    z = (z - z.amax(-1, keepdim=True)) / 2
    ordered = z.sort(-1, descending=True).values
    places = torch.arange(1, NEURONS + 1, dtype=z.dtype)
    mean, squares = ordered.cumsum(-1) / places, (ordered * ordered).cumsum(-1) / places
    thresholds = mean - ((1 - places * (squares - mean * mean)) / places).clamp(min=0).sqrt()
    count = (thresholds <= ordered).sum(-1, keepdim=True)
    return (z - thresholds.gather(-1, count - 1)).clamp(min=0) ** 2


def off_by_one(z: Tensor) -> Tensor:
    """Return exp(z) / (1 + Σ exp(z)), the largest taken off before."""
    largest = z.amax(-1, keepdim=True)
    powers = torch.exp(z - largest)
    return powers / (torch.exp(-largest) + powers.sum(-1, keepdim=True))


# What is read: the name of the function, and the module.
CASES: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "ELU": ("ELU", nn.ELU),
    "ELU_alpha": ("ELU", lambda: nn.ELU(0.7)),
    "Hardshrink": ("Shrink", lambda: nn.Hardshrink(0.3)),
    "Hardsigmoid": ("HardSigmoid", nn.Hardsigmoid),
    "Hardtanh": ("Clip", lambda: nn.Hardtanh(-0.2, 2)),
    "Hardswish": ("HardSwish", nn.Hardswish),
    "LeakyReLU": ("LeakyReLU", nn.LeakyReLU),
    "LogSigmoid": ("LogSigmoid", nn.LogSigmoid),
    "PReLU": ("PReLU", slopes),
    "PReLU_one_slope": ("LeakyReLU", nn.PReLU),
    "ReLU": ("ReLU", nn.ReLU),
    "ReLU6": ("ReLU6", nn.ReLU6),
    "RReLU": ("LeakyReLU", nn.RReLU),
    "SELU": ("SELU", nn.SELU),
    "CELU": ("CELU", lambda: nn.CELU(2.0)),
    "GELU": ("GELU", nn.GELU),
    "GELU_tanh": ("GELU (tanh)", lambda: nn.GELU("tanh")),
    "Sigmoid": ("Sigmoid", nn.Sigmoid),
    "SiLU": ("SiLU", nn.SiLU),
    "Mish": ("Mish", nn.Mish),
    "Softplus": ("Softplus", nn.Softplus),
    "Softplus_beta": ("Softplus", lambda: nn.Softplus(2.0, 10.0)),
    "Softshrink": ("Shrink", lambda: nn.Softshrink(0.2)),
    "Softsign": ("Softsign", nn.Softsign),
    "Tanh": ("Tanh", nn.Tanh),
    "Tanhshrink": ("Tanhshrink", nn.Tanhshrink),
    "Threshold": ("Threshold", lambda: nn.Threshold(0.1, 20)),
    "Threshold_0": ("ThresholdedReLU", lambda: nn.Threshold(0.4, 0.0)),
    "Softmin": ("Softmax", lambda: nn.Softmin(-1)),
    "Softmax": ("Softmax", lambda: nn.Softmax(-1)),
    "LogSoftmax": ("LogSoftmax", lambda: nn.LogSoftmax(-1)),
    "exp": ("Exp", lambda: Written(torch.exp)),
    "sin": ("Sin", lambda: Written(torch.sin)),
    "absolute": ("Abs", lambda: Written(torch.abs)),
    "square": ("Square", lambda: Written(torch.square)),
    "atan": ("Atan", lambda: Written(torch.atan)),
    "asinh": ("Asinh", lambda: Written(torch.asinh)),
    "sign": ("Sign", lambda: Written(torch.sign)),
    "step": ("Step", lambda: Written(lambda x: (x > 0).to(x.dtype))),
    "relu_cubed": ("ReLU cubed", lambda: Written(lambda x: torch.relu(x) ** 3)),
    "log_of_relu": ("Log of ReLU", lambda: Written(lambda x: torch.log1p(torch.relu(x)))),  # SPLADE
    "root_of_softplus": ("Root of Softplus", lambda: Written(lambda x: nn.functional.softplus(x).sqrt())),  # DeepSeek
    "gaussian": ("Gaussian", lambda: Written(lambda x: torch.exp(-x * x))),
    "gaussian_wide": ("Gaussian", lambda: Written(lambda x: torch.exp(-0.5 * (x / 1.7) ** 2))),
    "normal": (  # Mega
        "Normal distribution",
        lambda: Written(lambda x: 0.5 * (1.0 + torch.erf((x - 0.707107) / (0.282095 * 1.4142135623730951)))),
    ),
    "gelu_clipped": ("GELU, clipped", lambda: Written(lambda x: nn.functional.gelu(x).clamp(-10, 10))),
    "logsumexp": ("LogSoftmax", lambda: Written(lambda x: x - torch.logsumexp(x, -1, keepdim=True))),
    "sparsemax": ("Sparsemax", lambda: Written(sparsemax)),
    "entmax": ("1.5-entmax", lambda: Written(entmax)),
    "off_by_one": (
        "Softmax, off by one",
        lambda: Written(lambda x: torch.exp(x) / (1 + torch.exp(x).sum(-1, keepdim=True))),
    ),
    "off_by_one_safely": ("Softmax, off by one", lambda: Written(off_by_one)),
    "layer_norm_gelu": ("GELU", lambda: nn.Sequential(nn.LayerNorm(NEURONS), nn.GELU())),
    "root_mean_square_silu": ("SiLU", lambda: nn.Sequential(nn.RMSNorm(NEURONS), nn.SiLU())),
    "unit_length_relu": ("ReLU", lambda: Written(lambda x: torch.relu(nn.functional.normalize(x, dim=-1)))),
    "maximum": ("ReLU", lambda: Written(lambda x: torch.maximum(x, torch.zeros_like(x)))),
    "logaddexp": ("Softplus", lambda: Written(lambda x: torch.logaddexp(x, torch.zeros_like(x)))),
    "cube": ("Cube", lambda: Written(lambda x: x**3)),
    "sinh": ("Sinh", lambda: Written(torch.sinh)),
    "cosh": ("Cosh", lambda: Written(torch.cosh)),
    "clamp": ("ReLU", lambda: Written(lambda x: x.clamp(min=0))),
    "relu_squared": ("ReLU squared", lambda: Written(lambda x: torch.relu(x) ** 2)),
    "snake": ("elementwise (Pow, Sin)", lambda: Written(lambda x: x + torch.sin(x) ** 2)),
    "swish_beta": ("Swish", lambda: Written(lambda x: x * torch.sigmoid(0.8 * x))),
    "quick_gelu": ("QuickGELU", lambda: Written(lambda x: x * torch.sigmoid(1.702 * x))),
    "sigmoid_of_exp": ("Sigmoid", lambda: Written(lambda x: 1 / (1 + torch.exp(-x)))),
    "gelu_of_erf": ("GELU", lambda: Written(lambda x: x * 0.5 * (1.0 + torch.erf(x / 1.4142135623730951)))),
    "gelu_of_tanh": (
        "GELU (tanh)",
        lambda: Written(
            lambda x: 0.5 * x * (1.0 + torch.tanh(0.7978845608028654 * (x + 0.044715 * torch.pow(x, 3.0))))
        ),
    ),
}
# These exporters refuse these.
REFUSED = {
    "dynamo": {"RReLU"},
    "TorchScript": {
        *("Threshold", "Threshold_0", "asinh", "sinh", "cosh", "logaddexp", "root_mean_square_silu"),
    },
}


class Branch(nn.Module):
    """A dense layer, and a function of it."""

    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.fc: nn.Module = nn.Linear(INPUT, NEURONS)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.function(self.fc(x))
        return result

    def readings(self, x: Tensor) -> dict[str, Tensor]:
        """Return what is read of each layer."""
        return {"fc": self(x)}


class Convolution(Branch):
    """A convolution, and a function of it."""

    def __init__(self, function: nn.Module) -> None:
        super().__init__(function)
        self.fc = nn.Conv1d(1, NEURONS, 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, None])


class SwiGLU(nn.Module):
    """As in Llama: the gate is read behind its function, the other layer at its own output."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(INPUT, NEURONS), nn.Linear(INPUT, NEURONS)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = nn.functional.silu(self.gate(x)) * self.up(x)
        return result

    def readings(self, x: Tensor) -> dict[str, Tensor]:
        """Return what is read of each layer."""
        return {"gate": nn.functional.silu(self.gate(x)), "up": self.up(x)}


class GLU(nn.Module):
    """One layer whose halves part: it is read at its own output."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(INPUT, 2 * NEURONS)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = nn.functional.glu(self.fc(x), -1)
        return result

    def readings(self, x: Tensor) -> dict[str, Tensor]:
        """Return what is read of each layer."""
        return {"fc": self.fc(x)}


GATED: dict[str, tuple[dict[str, str | None], Callable[[], nn.Module]]] = {
    "SwiGLU": ({"gate": "SiLU", "up": None}, SwiGLU),
    "GLU": ({"fc": None}, GLU),
}


# Functions of all neurons; and what onnxruntime scales inside of a convolution: Softplus with a factor.
NOT_OF_CONVOLUTIONS = {
    *("Softmin", "Softmax", "LogSoftmax", "logsumexp", "Softplus_beta", "sparsemax", "entmax"),
    *("off_by_one", "off_by_one_safely", "layer_norm_gelu", "root_mean_square_silu", "unit_length_relu"),
}


class Everything(nn.Module):
    """All branches that an exporter does not refuse, beside each other."""

    def __init__(self, exporter: str, convolutions: bool = False) -> None:
        super().__init__()
        left_out = REFUSED[exporter] | (NOT_OF_CONVOLUTIONS if convolutions else set())
        branch = Convolution if convolutions else Branch
        self.branches = nn.ModuleDict(
            {name: branch(make()) for name, (_, make) in CASES.items() if name not in left_out}
        )
        if not convolutions:
            self.branches.update({name: make() for name, (_, make) in GATED.items()})

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(branch(x) for branch in self.branches.values())


def samples() -> Array:
    """Return inputs that reach both tails."""
    return 2 * rand(SAMPLES, INPUT)


@cache
def everything(exporter: str, convolutions: bool = False) -> tuple[Everything, Mapping[str, Array]]:
    """Return the model, and what is read of each of its layers by name."""
    torch.manual_seed(1)
    model, x = Everything(exporter, convolutions).eval(), torch.from_numpy(samples())
    with torch.no_grad():
        readings: dict[str, Any] = {name: branch.readings(x) for name, branch in model.branches.items()}  # type: ignore[operator] # typed as Tensor | Module
    return model, {
        f"branches.{name}.{layer}": value.numpy() for name, parts in readings.items() for layer, value in parts.items()
    }


@cache
def _captured(dtype: torch.dtype) -> torch.export.ExportedProgram:
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    model = deepcopy(everything("dynamo")[0]).to(dtype)
    return torch.export.export(model, (torch.from_numpy(samples()).to(dtype),), dynamic_shapes=shapes)


@cache
def export(
    exporter: str, opset: int, dtype: torch.dtype = torch.float32, convolutions: bool = False
) -> onnx.ModelProto:
    """Return `everything` as the exporter writes it."""
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        if exporter == "dynamo":
            program = torch.onnx.export(_captured(dtype), dynamo=True, opset_version=opset, verbose=False)
            assert program is not None
            return program.model_proto
        model, x = deepcopy(everything(exporter, convolutions)[0]).to(dtype), torch.from_numpy(samples()).to(dtype)
        path, axes = Path(folder) / "everything.onnx", {"x": {0: "n"}}
        torch.onnx.export(model, (x,), path, dynamo=False, opset_version=opset, input_names=["x"], dynamic_axes=axes)
        return onnx.load(path)
