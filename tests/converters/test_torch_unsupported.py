"""What PyTorch's exporter cannot write is told with the module it is in, and what to do."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from wua_onnx.converters import to_onnx
from wua_onnx.errors import ConversionError

X = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)


class Values(nn.Module):
    """An operator that is taken apart before it is translated."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = torch.linalg.svdvals(x.T @ x)
        return made


def quantized() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch on its own older functions, which many scripts use
        return torch.ao.quantization.quantize_dynamic(  # type: ignore[no-any-return,no-untyped-call] # torch's own
            nn.Sequential(nn.Sequential(nn.Linear(5, 3))), {nn.Linear}, dtype=torch.qint8
        )


def trained_for_quantization() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.ao.quantization.QuantWrapper(nn.Linear(5, 3)).train()
        module.qconfig = torch.ao.quantization.get_default_qat_qconfig("x86")  # type: ignore[no-untyped-call]
        torch.ao.quantization.prepare_qat(module, inplace=True)  # type: ignore[no-untyped-call]
        module(torch.from_numpy(X))
    return module


def orthogonal() -> nn.Module:
    return nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(5, 3)))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Linear(5, 5), Values()), r"_linalg_svd.* in module '1' \(Values\), line \d+ of .*\.py"),
        (quantized(), r"got packed ones of a quantized module in '0.0' \(Linear\)\. To try: convert the module as it"),
        (trained_for_quantization(), r"fused_moving_avg.* in module 'quant\..*To try: .*before prepare_qat"),
        (orthogonal(), r"in module '0.parametrizations.weight.0'.*remove_parametrizations on that layer"),
    ],
    ids=["taken apart", "packed", "fake quantization", "parametrised"],
)
def test_refused(tmp_path: Path, module: nn.Module, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        to_onnx(module, tmp_path / "m.onnx", X)
