"""TorchScript: back to a graph of PyTorch's operators, which can then be exported like any module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wua_onnx.errors import ConversionError

from . import _examples
from ._examples import Block
from ._quiet import converting

if TYPE_CHECKING:
    import torch


def unscripted(module: torch.jit.ScriptModule, block: Block, where: str) -> tuple[torch.nn.Module, Block]:
    """Return a module of plain operators that computes what `module` does, and the block in the order of its inputs.

    Branches that depend on values are not kept: TorchScript's converter follows one.

    Raises:
        ConversionError: it holds what cannot be exported, or does not accept the block.
    """
    from torch._export.converter import TS2EPConverter  # the only way there is; checked by the comparison of outputs

    forward: Any = module.forward  # a method of TorchScript's own
    names = [argument.name for argument in forward.schema.arguments[1:]]
    if isinstance(block, dict):
        block = _examples.by_name(block, names)
    if isinstance(block, dict):
        if set(block) - set(names):
            raise ConversionError(f"{where}: expected inputs {', '.join(names)}, got {', '.join(block)}")
        block = tuple(block[name] for name in names if name in block)
    args = tuple(block[: len(names)])
    with converting(where, "TorchScript that can be exported and accepts X"):
        program = TS2EPConverter(module, args, {}).convert()
        made: torch.nn.Module = program.module()
    return made, args
