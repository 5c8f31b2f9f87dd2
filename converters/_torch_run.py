"""Running a module: its arguments out of X, in evaluation mode, and what it and its parts make of them."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wua_onnx.errors import ConversionError
from wua_onnx.running.arrays import as_array

from . import _examples
from ._examples import Block
from ._quiet import converting
from ._torch_errors import exporting
from ._torch_evaluating import evaluating
from ._torch_tensors import computing, tensors

if TYPE_CHECKING:
    import torch


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A module to export.

    Attributes:
        module: what is exported.
        original: what is run; another than `module` where that was made of TorchScript.
        where: the module in messages.
        batch_axis: the axis of its inputs along which samples lie.
    """

    module: torch.nn.Module
    original: torch.nn.Module
    where: str
    batch_axis: int = 0

    def take(self, block: Block, count: int) -> Block:
        """Return `count` samples of the block."""
        return _examples.take(block, count, self.batch_axis)

    def samples_in(self, block: Block) -> int | None:
        """Return how many samples the block holds."""
        return _examples.samples_in(block, self.batch_axis)

    def arguments(self, block: Block) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the block as arguments of `forward`, in tensors of their own: a module may write into them."""
        return bind(self.module, tensors(block, self.original), self.where)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a module made of a block, and the arguments it was given."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: Any


def keys_of(run: Run) -> list[str | None]:
    """Return of each tensor among the arguments the key under which it stands in a mapping; None of others."""
    import torch
    from torch.utils import _pytree as pytree

    leaves, _ = pytree.tree_flatten_with_path((run.args, dict(run.kwargs)))
    # A path begins with `args` or `kwargs` and the argument.
    ends = [path[2:] for path, leaf in leaves if isinstance(leaf, torch.Tensor)]
    return [str(end[-1].key) if end and isinstance(end[-1], pytree.MappingKey) else None for end in ends]


def run(subject: Subject, block: Block) -> Run:
    """Run the original on a block.

    Raises:
        ConversionError: it does not take the block, or returns no tensor.
    """
    import torch
    from torch.utils import _pytree as pytree

    args, kwargs = subject.arguments(block)
    with exporting(subject.original, on(subject.where, args, kwargs), "a module that accepts X"), computing():
        outputs = subject.original(*args, **kwargs)
    register_outputs(outputs)
    if not any(isinstance(leaf, torch.Tensor) for leaf in pytree.tree_leaves(outputs)):
        raise ConversionError(
            f"{subject.where}: expected a module that returns tensors, or tuples, dicts or dataclasses of them, "
            f"got {type(outputs).__name__}"
        )
    args, kwargs = subject.arguments(block)
    return Run(args=args, kwargs=kwargs, outputs=outputs)


def bind(module: torch.nn.Module, block: Block, where: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the block as arguments of `forward`; one value more than it takes is the labels.

    Raises:
        ConversionError: `forward` does not take these arguments.
    """
    signature = inspect.signature(module.forward)
    takes = [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
    if isinstance(block, dict) and _takes_whole(signature, block):
        block = (_examples.without_labels(block),)
    elif isinstance(block, dict) and not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        block = _examples.by_name(block, signature.parameters.keys())
    if not isinstance(block, dict) and len(block) == len(takes) + 1 and not variadic:
        block = block[:-1]
    try:
        bound = signature.bind(**block) if isinstance(block, dict) else signature.bind(*block)
    except TypeError as error:
        given = ", ".join(block) if isinstance(block, dict) else f"{len(block)} arrays"
        raise ConversionError(f"{where}: expected inputs {signature}, got {given}: {error}") from error
    return bound.args, bound.kwargs


def _takes_whole(signature: inspect.Signature, block: dict[str, Any]) -> bool:
    """Return whether `forward` takes the whole of a block by name as one argument: `forward(self, batch)`."""
    parameters = signature.parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    catches = any(p.kind is p.VAR_KEYWORD for p in parameters)
    if len(needed) != 1 or catches or set(block) & {p.name for p in parameters}:
        return False
    return len(_examples.without_labels(block)) > 1 or "dict" in str(needed[0].annotation).lower()


def on(where: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Return `where` with the types and shapes of the arguments."""
    import torch
    from torch.utils import _pytree as pytree

    values = [leaf for leaf in pytree.tree_leaves((args, dict(kwargs))) if isinstance(leaf, torch.Tensor)]
    shapes = [f"{str(v.dtype).removeprefix('torch.')} {list(v.shape)}" for v in values]
    return f"{where} on {', '.join(shapes)}" if shapes else where


def register_outputs(outputs: Any) -> None:
    """Make the dataclasses among the outputs known to torch.export, for good; it knows tuples, lists and dicts."""
    import torch
    from torch.utils import _pytree as pytree

    pending = [outputs]
    while pending:
        item = pending.pop()
        if dataclasses.is_dataclass(item) and not isinstance(item, type):
            if type(item) not in pytree.SUPPORTED_NODES:
                torch.export.register_dataclass(
                    type(item), serialized_type_name=f"{type(item).__module__}.{type(item).__qualname__}"
                )
            pending.extend(getattr(item, field.name) for field in dataclasses.fields(item))
        elif isinstance(item, Mapping):
            pending.extend(item.values())
        elif isinstance(item, tuple | list):
            pending.extend(item)


def outputs_of_modules(module: torch.nn.Module, inputs: Any) -> list[tuple[str, Any]]:
    """Run the module and return the output of each of its parts that makes one tensor, the first to end first."""
    import torch

    made: dict[str, Any] = {}

    def keep(path: str, output: Any) -> None:
        if path and isinstance(output, torch.Tensor):
            made.pop(path, None)
            made[path] = as_array(output).copy()  # the next module may write into it

    hooks = [
        part.register_forward_hook(lambda _part, _inputs, output, path=path: keep(path, output))
        for path, part in module.named_modules()
    ]
    try:
        with evaluating(module), computing():
            module(*inputs[0], **inputs[1])
    finally:
        for hook in hooks:
            hook.remove()
    return list(made.items())


def outputs_again(module: torch.nn.Module, run: Run) -> tuple[Any, ...]:
    """Return the tensors that the module makes of the arguments of the run this time."""
    import torch
    from torch.utils import _pytree as pytree

    args, kwargs = copy.deepcopy((run.args, dict(run.kwargs)))
    with converting("the module once more", "one that computes"), evaluating(module), computing():
        outputs = module(*args, **kwargs)
    return tuple(as_array(leaf) for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, torch.Tensor))


def outputs_in_float32(module: torch.nn.Module, run: Run) -> tuple[Any, ...]:
    """Return the tensors that a copy of the module in float32 makes of the arguments of the run."""
    import torch
    from torch.utils import _pytree as pytree

    def wide(leaf: Any) -> Any:
        return leaf.float() if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() else leaf

    args, kwargs = pytree.tree_map(wide, (run.args, dict(run.kwargs)))
    copied = copy.deepcopy(module).float().eval()
    with converting("the module in float32", "one that computes"), computing():
        outputs = copied(*args, **kwargs)
    return tuple(as_array(leaf) for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, torch.Tensor))


def is_narrow(module: torch.nn.Module) -> bool:
    """Return whether the module has parameters in float16 or bfloat16."""
    import torch

    return any(parameter.dtype in (torch.float16, torch.bfloat16) for parameter in module.parameters())
