"""Tensors for a module: on the device and of the type of its own, multiplied without shortcuts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from wua_onnx.errors import ConversionError
from wua_onnx.running.arrays import as_array

from ._examples import Block

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram


def tensors(block: Block, owner: torch.nn.Module | ExportedProgram) -> Block:
    """Return copies of the block's arrays as tensors where the owner's lie, floats in the type of its parameters.

    That is the device of its first parameter, or buffer where it has none. A tensor of the caller's on an accelerator
    stays there where the owner has tensors on it, or none at all: a module spread over devices takes inputs on several.
    """
    import torch

    owned = [*owner.parameters(), *owner.buffers()]
    devices = list(dict.fromkeys(tensor.device for tensor in owned))
    floating = next((tensor.dtype for tensor in owned if tensor.is_floating_point()), torch.float32)

    def device_of(value: Any) -> torch.device:
        given = value.device if isinstance(value, torch.Tensor) else torch.device("cpu")
        stays = given.type != "cpu" and given in (devices or [given])
        return given if stays or not devices else devices[0]

    def tensor(value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        try:
            made = value.detach().clone() if isinstance(value, torch.Tensor) else torch.tensor(as_array(value))
        except TypeError as error:  # an array of text
            raise ConversionError(f"X: expected arrays of numbers, got {error}") from None
        return made.to(device_of(value), floating if made.is_floating_point() else made.dtype)

    return {n: tensor(v) for n, v in block.items()} if isinstance(block, dict) else tuple(map(tensor, block))


def refuse_without_values(module: torch.nn.Module, where: str) -> None:
    """Refuse a module with parameters or buffers on the device meta.

    Raises:
        ConversionError: names them.
    """
    named = [*module.named_parameters(), *module.named_buffers()]
    missing = [path for path, tensor in named if tensor.is_meta]
    if missing:
        raise ConversionError(
            f"{where}: expected weights with values, got {len(missing)} of {len(named)} on the device meta, which "
            f"have none ({missing[0]!r} first). To try: build the module on another device and load its weights"
        )


def refuse_packed(module: torch.nn.Module, where: str) -> None:
    """Refuse a module in which PyTorch has packed quantized weights, which the exporter cannot look into.

    Raises:
        ConversionError: names it.
    """
    for path, part in module.named_modules():
        if type(part).__module__.startswith(_PACKED):
            raise ConversionError(
                f"{where}: expected weights in tensors, got packed ones of a quantized module in {path!r} "
                f"({type(part).__qualname__}). To try: convert the module as it was before its quantization, and "
                "quantize the .onnx file (onnxruntime.quantization)"
            )


_PACKED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")


@contextlib.contextmanager
def computing() -> Iterator[None]:
    """Compute in the body without gradients, and in float32 where it says float32.

    PyTorch convolves on an NVIDIA GPU with mantissas of 11 bits (TF32) unless told otherwise, and multiplies matrices
    so where `set_float32_matmul_precision` allowed it: not what the network is, and not what onnxruntime does.
    https://docs.pytorch.org/docs/stable/notes/cuda.html#tensorfloat-32-tf32-on-ampere-and-later-devices
    """
    import torch

    backends: Any = torch.backends
    parts = (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul, backends.mkldnn.matmul)
    before = [part.fp32_precision for part in parts]
    older = None
    with contextlib.suppress(RuntimeError):  # raised where the caller set `fp32_precision` apart from these
        older = backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    try:
        if older is not None:
            backends.cudnn.allow_tf32 = False
            torch.set_float32_matmul_precision("highest")
        else:
            for part in parts:
                part.fp32_precision = "ieee"
        with torch.no_grad():
            yield
    finally:
        if older is not None:
            backends.cudnn.allow_tf32 = older[0]
            torch.set_float32_matmul_precision(older[1])
        for part, precision in zip(parts, before, strict=True):
            part.fp32_precision = precision
