"""PyTorch: modules, exported programs and .pt2 files, through `torch.export` and PyTorch's ONNX exporter.

https://docs.pytorch.org/docs/stable/onnx_export.html
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from wua_onnx.errors import ConversionError, MissingDependency
from wua_onnx.running.arrays import as_array

from . import _examples
from ._base import Draft, Example
from ._examples import Block
from ._kinds import Kind
from ._pt2 import load_program
from ._quiet import converting
from ._torch_names import layer_names, name_batch

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

# The exporter writes opset 18 and converts that to 20, its default; every onnxruntime from 1.24 on runs it.
OPSET = 20
# Sizes 0 and 1 are special to torch.export, which would fix the batch to them.
_TRACED = 3
_COMPARED = 5


def draft_pytorch(kind: Kind, model: Any, X: Any) -> tuple[Draft, str]:
    """Convert a module, a program or a .pt2 file; return it with the name that messages use for it.

    Raises:
        ConversionError: it cannot be exported, or does not accept X.
        MissingDependency: torch or onnxscript is not installed.
    """
    for package in ("torch", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependency(package, "torch", "converting a PyTorch model")
    if kind is Kind.TORCH_MODULE:
        where = f"PyTorch module {type(model).__name__}"
        return _from_module(model, X, where), where
    where = "exported program" if kind is Kind.EXPORTED_PROGRAM else str(model)
    program = model if kind is Kind.EXPORTED_PROGRAM else load_program(model)
    return _from_program(program, X, where), where


def _from_module(module: torch.nn.Module, X: Any, where: str) -> Draft:
    import torch

    if X is None:
        raise ConversionError(
            f"{where}: expected X, a few samples of its input, got none: a PyTorch module does not say what it takes"
        )
    if isinstance(module, torch.jit.ScriptModule):
        raise ConversionError(f"{where}: expected a module of Python code, got TorchScript, which cannot be exported")
    block = _tensors(_examples.first_block(X), module)
    with _evaluating(module):
        program, example, cautions = _export(module, block, where)
        args, kwargs = _bind(module, example, where)
        with converting(_on(where, example), "a module that accepts X"), torch.no_grad():
            outputs = module(*args, **kwargs)
    return _translate(program, (args, kwargs), outputs, where, cautions)


def _from_program(program: ExportedProgram, X: Any, where: str) -> Draft:
    import torch
    from torch.utils import _pytree as pytree

    args, kwargs = program.example_inputs or ((), {})
    if X is not None:
        block = _take_as_traced(_tensors(_examples.first_block(X), program), program)
        names = [str(name) for name in program.graph_signature.user_inputs]
        if isinstance(block, dict):
            block = _examples.by_name(block, names)
        if isinstance(block, dict) and set(block) != set(names):
            raise ConversionError(f"{where}: expected inputs {', '.join(names)}, got {', '.join(block)}")
        leaves = [block[name] for name in names] if isinstance(block, dict) else list(block)
        if len(leaves) == len(names) + 1:
            leaves.pop()  # labels
        if len(leaves) != len(names):
            raise ConversionError(f"{where}: expected {len(names)} inputs, got {len(leaves)}")
        args, kwargs = pytree.tree_unflatten(leaves, program.call_spec.in_spec)
    elif program.example_inputs is None:
        return _translate(program, None, None, where, ("nothing to compare outputs on: the program has no example",))
    with converting(_on(where, args), "a program that accepts X"), torch.no_grad():
        outputs = program.module()(*args, **kwargs)
    return _translate(program, (args, kwargs), outputs, where, ())


@contextlib.contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Put the module in evaluation mode; give every submodule its own training flag back at the end."""
    flags = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in flags:
            part.training = training


def _export(module: torch.nn.Module, block: Block, where: str) -> tuple[ExportedProgram, Block, tuple[str, ...]]:
    """Export with a free batch, else with the smallest fixed one that the module takes.

    Returns the program, samples to compare it on (another number than the traced one, so that a size written into
    the graph shows), and what to tell the user.
    """
    from torch.export import Dim

    samples = _examples.samples_in(block) or 1
    failure: ConversionError | None = None
    try:
        program = _trace(module, _examples.take(block, _TRACED), where, Dim("batch"))
        return program, _examples.take(block, min(samples, _COMPARED) if samples != _TRACED else 2), ()
    except ConversionError as error:
        refused = str(error.__cause__ or error).strip().partition("\n")[0]
    for count in dict.fromkeys((1, samples)):
        example = _examples.take(block, count)
        try:
            program = _trace(module, example, where, None)
        except ConversionError as error:
            failure = error
        else:
            return program, example, (f"{where}: the batch size is fixed to {count}; a free one failed: {refused}",)
    assert failure is not None
    raise failure


def _trace(module: torch.nn.Module, example: Block, where: str, batch: Any) -> ExportedProgram:
    """Export the module on `example`, the first axis of its tensors free where `batch` is a dimension."""
    import torch

    args, kwargs = _bind(module, example, where)
    samples = _examples.samples_in(example)

    def axes(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(axes, value))
        return {0: batch} if _examples.shape_of(value)[:1] == (samples,) else None

    shapes = None
    if batch is not None:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
        extra = {name for name, p in bound.signature.parameters.items() if p.kind is p.VAR_KEYWORD}
        shapes = {name: axes(value) for name, value in bound.arguments.items() if name not in extra}
        shapes |= {name: axes(value) for key in extra for name, value in bound.arguments.get(key, {}).items()}
    with converting(_on(where, example), "a module that can be exported and accepts X"), torch.no_grad():
        return torch.export.export(module, args, kwargs, dynamic_shapes=shapes, strict=False)


def _bind(module: torch.nn.Module, block: Block, where: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the block as arguments of `forward`; one value more than it takes is the labels."""
    signature = inspect.signature(module.forward)
    takes = [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
    if isinstance(block, dict) and not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        block = _examples.by_name(block, signature.parameters.keys())
    if not isinstance(block, dict) and len(block) == len(takes) + 1 and not variadic:
        block = block[:-1]
    try:
        bound = signature.bind(**block) if isinstance(block, dict) else signature.bind(*block)
    except TypeError as error:
        given = ", ".join(block) if isinstance(block, dict) else f"{len(block)} arrays"
        raise ConversionError(f"{where}: expected inputs {signature}, got {given}: {error}") from error
    return bound.args, bound.kwargs


def _tensors(block: Block, owner: torch.nn.Module | ExportedProgram) -> Block:
    """Return the block's arrays as tensors on the owner's device, floats in the type of its parameters."""
    import torch

    parameters = list(owner.parameters())
    device = parameters[0].device if parameters else torch.device("cpu")
    floating = next((p.dtype for p in parameters if p.is_floating_point()), torch.float32)

    def tensor(value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        made = value.detach() if isinstance(value, torch.Tensor) else torch.tensor(as_array(value))
        return made.to(device, floating if made.is_floating_point() else made.dtype)

    # torch.tensor copies: a whole data set need not be copied for a few samples.
    block = _examples.take(block, min(_examples.samples_in(block) or 1, _LIMIT))
    return {n: tensor(v) for n, v in block.items()} if isinstance(block, dict) else tuple(map(tensor, block))


_LIMIT = 64  # samples of X that a module with a fixed batch is tried on


def _take_as_traced(block: Block, program: ExportedProgram) -> Block:
    """Return as many samples as the program was fixed to, or a few where its batch is free."""
    inputs = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    shapes = (_examples.shape_of(inputs.get(str(name))) for name in program.graph_signature.user_inputs)
    size = next((shape[0] for shape in shapes if shape), None)
    return _examples.take(block, size if isinstance(size, int) else min(_examples.samples_in(block) or 1, _COMPARED))


def _translate(program: ExportedProgram, inputs: Any, outputs: Any, where: str, cautions: tuple[str, ...]) -> Draft:
    import torch
    from torch.utils import _pytree as pytree

    with converting(where, "operators that ONNX can express"):
        exported = torch.onnx.export(program, dynamo=True, verbose=False, opset_version=OPSET)
    assert exported is not None
    model = exported.model
    name_batch(model)
    example = None
    if inputs is not None:
        fed = [leaf for leaf in pytree.tree_leaves(inputs) if isinstance(leaf, torch.Tensor)]
        made = [leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, torch.Tensor)]
        if any(tensor.dtype is torch.bfloat16 for tensor in fed):
            cautions += ("the outputs were not compared: NumPy has no bfloat16",)
        else:
            names = [str(value.name) for value in model.graph.inputs]
            feeds = dict(zip(names, map(as_array, fed), strict=True))
            example = Example(feeds=feeds, outputs=tuple(map(as_array, made)))
    return Draft(
        model=model,
        framework="pytorch",
        framework_version=str(torch.__version__),
        layer_names=layer_names(model, set(program.state_dict)),
        example=example,
        warnings=cautions,
    )


def _on(where: str, example: Any) -> str:
    values = example.values() if isinstance(example, dict) else example
    shapes = [f"{str(v.dtype).removeprefix('torch.')} {list(v.shape)}" for v in values if hasattr(v, "shape")]
    return f"{where} on {', '.join(shapes)}" if shapes else where
