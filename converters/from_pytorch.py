"""PyTorch: modules, exported programs and .pt2 files, through `torch.export` and PyTorch's ONNX exporter.

https://docs.pytorch.org/docs/stable/onnx_export.html
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from wua_onnx.errors import ConversionError, MissingDependency
from wua_onnx.running.arrays import as_array

from . import _examples
from ._base import Draft, Example
from ._examples import Block
from ._kinds import Kind
from ._pt2 import load_program
from ._quiet import converting, step
from ._torch_errors import exporting, translating
from ._torch_export import Exported, Shapes, bind, export, on, register_outputs
from ._torch_files import load_file
from ._torch_names import modules_of, name_dimensions, name_parameters
from ._torch_script import unscripted
from ._trace import Parameters, tie

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch
    from torch.export import ExportedProgram

# The exporter writes opset 18 and converts that to 20, its default; every onnxruntime from 1.24 on runs it.
OPSET = 20
_COMPARED = 5  # samples


def draft_pytorch(
    kind: Kind, model: Any, X: Any, *, factory: str | None = None, stated: Shapes | None = None
) -> tuple[Draft, str]:
    """Convert a module, a program or a file; return it with the name that messages use for it.

    Raises:
        ConversionError: it cannot be exported, or does not accept X.
        MissingDependency: torch or onnxscript is not installed.
    """
    for package in ("torch", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependency(package, "torch", "converting a PyTorch model")
    where = str(model)
    if kind is Kind.PT2_FILE:
        model = load_program(model)
    elif kind is Kind.TORCH_FILE:
        model = load_file(model, factory)
    elif kind is Kind.EXPORTED_PROGRAM:
        where = "exported program"
    else:
        where = f"PyTorch module {type(model).__name__}"
    if hasattr(model, "graph_signature"):
        return _from_program(model, X, where), where
    return _from_module(model, X, where, stated or {}), where


def _from_module(module: torch.nn.Module, X: Any, where: str, stated: Shapes) -> Draft:
    import torch

    if X is None:
        raise ConversionError(
            f"{where}: expected X, a few samples of its input, got none: a PyTorch module does not say what it takes"
        )
    block = _tensors(_examples.first_block(X), module)
    original = module
    with _evaluating(original):
        if isinstance(module, torch.jit.ScriptModule):
            module, block = unscripted(module, block, where)
        args, kwargs = bind(module, block, where)
        with exporting(original, on(where, block), "a module that accepts X"), torch.no_grad():
            register_outputs(original(*args, **kwargs))
        found = _exported(module, block, where, stated)
        args, kwargs = bind(module, found.example, where)
        with converting(on(where, found.example), "a module that accepts X"), torch.no_grad():
            outputs = original(*args, **kwargs)
    return _finished(found.program, found.model, (args, kwargs), outputs, found.cautions, original, stated)


def _exported(module: torch.nn.Module, block: Block, where: str, stated: Shapes) -> Exported:
    """Export the module; one of Hugging Face's once more with plain attention, where its fused one cannot be.

    PyTorch 2.13 cannot write what follows a fused attention with a bias of positions (T5), since it takes the memory
    layout of its result for another.
    """
    translate = partial(_to_onnx, where=where)
    choose: Any = getattr(module, "set_attn_implementation", None)
    fused = getattr(getattr(module, "config", None), "_attn_implementation", None)
    try:
        return export(module, block, where, stated, translate)
    except ConversionError as error:
        if choose is None or fused in (None, "eager") or "Cannot view a tensor" not in str(error):
            raise
    choose("eager")
    try:
        return export(module, block, where, stated, translate)
    finally:
        choose(fused)


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
        unchecked = ("nothing to compare outputs on: the program has no example",)
        return _finished(program, _to_onnx(program, where), None, None, unchecked)
    with converting(on(where, args), "a program that accepts X"), torch.no_grad():
        outputs = program.module()(*args, **kwargs)
    return _finished(program, _to_onnx(program, where), (args, kwargs), outputs, ())


@contextlib.contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Put the module in evaluation mode; give every submodule its own training flag back at the end.

    A language model of Hugging Face's is told meanwhile not to return its key-value cache, which is no tensor.
    """
    flags = [(part, part.training) for part in module.modules()]
    config = getattr(module, "config", None)
    caches = getattr(config, "use_cache", None) is True
    module.eval()
    try:
        if caches:
            vars(config)["use_cache"] = False
        yield
    finally:
        if caches:
            vars(config)["use_cache"] = True
        for part, training in flags:
            part.training = training


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


def _to_onnx(program: ExportedProgram, where: str) -> ir.Model:
    import torch

    step("translating to ONNX")
    with translating(program, where):
        exported = torch.onnx.export(program, dynamo=True, verbose=False, opset_version=OPSET)
    assert exported is not None
    return exported.model


def _finished(
    program: ExportedProgram,
    model: ir.Model,
    inputs: Any,
    outputs: Any,
    cautions: tuple[str, ...],
    module: torch.nn.Module | None = None,
    stated: Shapes | None = None,
) -> Draft:
    """Return the draft, with the author's names in the model."""
    import torch

    name_dimensions(model, stated or {})
    parameters = _parameters(program, module)
    tie(model)
    layers = name_parameters(
        model,
        Parameters(
            {path: value.numel() for path, value in parameters.items()}, lambda path: as_array(parameters[path])
        ),
        set(parameters),
    )
    classes = {path: type(part).__qualname__ for path, part in module.named_modules()} if module is not None else {}
    return Draft(
        model=model,
        framework="pytorch",
        framework_version=str(torch.__version__),
        layer_names=layers,
        example=None if inputs is None else _example(model, inputs, outputs, module),
        warnings=cautions,
        modules=modules_of(model, classes),
    )


def _parameters(program: ExportedProgram, module: torch.nn.Module | None) -> Mapping[str, torch.Tensor]:
    """Return the parameters by path; those of Keras layers on PyTorch bear the paths of the layers."""
    variables = getattr(module, "weights", None)
    if module is None or not isinstance(variables, list):
        return dict(program.state_dict)
    model_name = str(getattr(module, "name", ""))
    return {variable.path.removeprefix(f"{model_name}/"): variable.value for variable in variables}


def _example(model: ir.Model, inputs: Any, outputs: Any, module: torch.nn.Module | None) -> Example:
    import torch
    from torch.utils import _pytree as pytree

    fed = [leaf for leaf in pytree.tree_leaves(inputs) if isinstance(leaf, torch.Tensor)]
    made = [leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, torch.Tensor)]
    names = [str(value.name) for value in model.graph.inputs]
    feeds = dict(zip(names, map(as_array, fed), strict=True))
    layers = None if module is None else partial(_outputs_of_modules, module, inputs)
    return Example(feeds=feeds, outputs=tuple(map(as_array, made)), layers=layers)


def _outputs_of_modules(module: torch.nn.Module, inputs: Any) -> list[tuple[str, Any]]:
    """Run the module and return the output of each of its parts that makes one tensor, the first to end first."""
    import torch

    made: dict[str, Any] = {}

    def keep(path: str, output: Any) -> None:
        if path and isinstance(output, torch.Tensor):
            made.pop(path, None)
            made[path] = as_array(output)

    hooks = [
        part.register_forward_hook(lambda _part, _inputs, output, path=path: keep(path, output))
        for path, part in module.named_modules()
    ]
    try:
        with _evaluating(module), torch.no_grad():
            module(*inputs[0], **inputs[1])
    finally:
        for hook in hooks:
            hook.remove()
    return list(made.items())
