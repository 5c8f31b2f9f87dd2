"""Numbers less tensors: PyTorch's exporter has no way for one of whole numbers, `1.0 - mask`.

It takes `rsub` for `sub` with the number first, and then finds no `sub` that would take it with the tensor in floating
point (XLNet of Hugging Face).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir


def translations() -> dict[Any, Callable[..., Any]]:
    """Return the function that writes `number - tensor` in ONNX, as `torch.onnx.export` takes it."""
    import torch

    return {torch.ops.aten.rsub.Scalar: _rsub}


def _rsub(x, other, alpha=1):  # type: ignore[no-untyped-def] # the exporter reads annotations as types of ONNX
    """Write `other - alpha x`, in float32 where a tensor of whole numbers meets one that is none."""
    from onnxscript import opset18

    op: Any = opset18
    dtype: ir.DataType = x.dtype
    if not dtype.is_floating_point() and (isinstance(other, float) or isinstance(alpha, float)):
        dtype = ir.DataType.FLOAT
        x = op.Cast(x, to=int(dtype))
    number, factor = (op.Constant(value=ir.tensor(np.array(value, dtype.numpy()))) for value in (other, alpha))
    return op.Sub(number, x if alpha == 1 else op.Mul(x, factor))
