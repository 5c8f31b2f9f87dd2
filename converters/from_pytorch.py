"""PyTorch: modules, exported programs and .pt2 files, through `torch.export` and PyTorch's ONNX exporter.

https://docs.pytorch.org/docs/stable/onnx_export.html
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from wua_onnx.errors import ConversionError, MissingDependency
from wua_onnx.running.arrays import as_array

from . import _examples, _torch_attention, _torch_recurrent, _torch_rsub
from ._base import Draft, Example
from ._examples import Block
from ._kinds import Kind
from ._pt2 import load_program
from ._quiet import converting, step
from ._torch_errors import translating
from ._torch_evaluating import evaluating, unwrapped
from ._torch_export import Shapes, export
from ._torch_files import load_file
from ._torch_fold import fold_weights
from ._torch_generated import generated
from ._torch_lines import shorten_lines
from ._torch_names import first_paths, keras_variables, modules_of, name_dimensions, name_inputs, name_parameters
from ._torch_outputs import tensors_alone
from ._torch_projected import place_steps
from ._torch_recurrent import free_steps
from ._torch_run import (
    Run,
    Subject,
    is_narrow,
    keys_of,
    on,
    outputs_again,
    outputs_in_float32,
    outputs_of_modules,
)
from ._torch_script import unscripted
from ._torch_tensors import computing, refuse_packed, refuse_without_values, tensors
from ._torch_unused import unused_parameters
from ._trace import Parameters, tie

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch
    from torch.export import ExportedProgram

# The exporter writes opset 18 and converts that to 20, its default; every onnxruntime from 1.24 on runs it.
OPSET = 20
_COMPARED = 2  # samples
_FUNCTIONAL = "program"  # under which a model has the program that it was written from; goes into no file


def draft_pytorch(
    kind: Kind, model: Any, X: Any, *, factory: str | None = None, shapes: Shapes | None = None, batch_axis: int = 0
) -> tuple[Draft, str]:
    """Convert a module, a program or a file; return it with the name that messages use for it.

    Args:
        kind: of which kind `model` is.
        model: the module, program or file.
        X: data; see `to_onnx`.
        factory: what builds the module, for a file of weights.
        shapes: shapes of inputs, with names of free dimensions; without X, of random inputs.
        batch_axis: the axis of the inputs along which samples lie.

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
        model = unwrapped(model)
        where = f"PyTorch module {type(model).__name__}"
    if hasattr(model, "graph_signature"):
        return _from_program(model, X, where, batch_axis), where
    return _from_module(model, X, where, shapes or {}, batch_axis), where


def _block(X: Any, batch_axis: int) -> Block:
    """Return the first block of X.

    Raises:
        ConversionError: no array of it has the axis of the samples.
    """
    block = _examples.first_block(X)
    most = max((len(_examples.shape_of(value)) for value in _examples.values_of(block)), default=0)
    if batch_axis < 0 or batch_axis >= max(most, 1):
        raise ConversionError(f"batch_axis: expected an axis of an input, 0 to {max(most - 1, 0)}, got {batch_axis}")
    return block


def _from_module(module: torch.nn.Module, X: Any, where: str, shapes: Shapes, batch_axis: int) -> Draft:
    import torch

    refuse_without_values(module, where)
    refuse_packed(module, where)
    subject = Subject(module=module, original=module, where=where, batch_axis=batch_axis)
    stated = {name: shape for name, shape in shapes.items() if any(isinstance(dim, str) for dim in shape)}
    with evaluating(module):
        block = _block(X, batch_axis) if X is not None else generated(subject, shapes)
        if isinstance(module, torch.jit.ScriptModule):
            made, block = unscripted(module, tensors(block, module), where)
            subject = dataclasses.replace(subject, module=made)
        found = export(subject, block, stated, partial(_to_onnx, where=where))
    name_dimensions(found.model, stated, batch_axis)
    return _finished(found.program, found.model, found.run, found.cautions, where, module)


def _from_program(program: ExportedProgram, X: Any, where: str, batch_axis: int) -> Draft:
    from torch.utils import _pytree as pytree

    args, kwargs = program.example_inputs or ((), {})
    if X is not None:
        block = tensors(_take_as_traced(_block(X, batch_axis), program, batch_axis), program)
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
        model = _to_onnx(program, where)
        name_dimensions(model, {}, batch_axis)
        return _finished(program, model, None, unchecked, where)
    with converting(on(where, args, kwargs), "a program that accepts X"), computing():
        outputs = program.module()(*args, **kwargs)
    model = _to_onnx(program, where)
    name_dimensions(model, {}, batch_axis)
    return _finished(program, model, Run(args=args, kwargs=kwargs, outputs=outputs), (), where)


def _take_as_traced(block: Block, program: ExportedProgram, axis: int) -> Block:
    """Return as many samples as the program was fixed to, or a few where its batch is free."""
    inputs = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    shapes = (_examples.shape_of(inputs.get(str(name))) for name in program.graph_signature.user_inputs)
    size = next((shape[axis] for shape in shapes if len(shape) > axis), None)
    few = min(_examples.samples_in(block, axis) or 1, _COMPARED)
    return _examples.take(block, size if isinstance(size, int) else few, axis)


def _to_onnx(program: ExportedProgram, where: str) -> ir.Model:
    import torch

    step("translating to ONNX")
    # Without gradients, as it was traced: with them PyTorch takes another kernel for attention with a bias that is
    # looked up (T5, BEiT), whose result is laid out in memory as what follows does not expect.
    with translating(program, where), free_steps(), tensors_alone(program), torch.no_grad():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            custom_translation_table=_translations(),
        )
    assert exported is not None
    fold_weights(exported.model)
    place_steps(exported.model)
    exported.model.meta[_FUNCTIONAL] = exported.exported_program
    return exported.model


def _translations() -> dict[Any, Any]:
    """Return what writes operators that PyTorch's exporter writes otherwise, or not at all."""
    return {
        op: f for part in (_torch_attention, _torch_recurrent, _torch_rsub) for op, f in part.translations().items()
    }


def _finished(
    program: ExportedProgram,
    model: ir.Model,
    run: Run | None,
    cautions: tuple[str, ...],
    where: str,
    module: torch.nn.Module | None = None,
) -> Draft:
    """Return the draft, with the author's names in the model."""
    import torch

    if run is not None:
        name_inputs(model, keys_of(run))
    shorten_lines(model)
    parameters = _parameters(program, module)
    cautions += unused_parameters(model.meta.pop(_FUNCTIONAL), parameters, where)
    tie(model)
    layers = name_parameters(
        model,
        Parameters(
            {path: value.numel() for path, value in parameters.items()}, lambda path: as_array(parameters[path])
        ),
        set(parameters),
        {} if module is None else first_paths(module),
    )
    classes = {path: type(part).__qualname__ for path, part in module.named_modules()} if module is not None else {}
    return Draft(
        model=model,
        framework="pytorch",
        framework_version=str(torch.__version__),
        layer_names=layers,
        example=None if run is None else _example(model, run, module),
        warnings=cautions,
        modules=modules_of(model, classes),
    )


def _parameters(program: ExportedProgram, module: torch.nn.Module | None) -> Mapping[str, torch.Tensor]:
    """Return the parameters by path; those of Keras layers on PyTorch bear the paths of the layers."""
    variables = getattr(module, "weights", None)
    if module is None or not (isinstance(variables, list) and all(hasattr(v, "path") for v in variables)):
        return dict(program.state_dict)
    return {path: variable.value for path, variable in keras_variables(module)}


def _example(model: ir.Model, run: Run, module: torch.nn.Module | None) -> Example:
    import torch
    from torch.utils import _pytree as pytree

    fed = [leaf for leaf in pytree.tree_leaves((run.args, run.kwargs)) if isinstance(leaf, torch.Tensor)]
    made = [leaf for leaf in pytree.tree_leaves(run.outputs) if isinstance(leaf, torch.Tensor)]
    names = [str(value.name) for value in model.graph.inputs]
    feeds = dict(zip(names, map(as_array, fed), strict=True))
    layers = None if module is None else partial(outputs_of_modules, module, (run.args, run.kwargs))
    wide = partial(outputs_in_float32, module, run) if module is not None and is_narrow(module) else None
    again = None if module is None else partial(outputs_again, module, run)
    return Example(feeds=feeds, outputs=tuple(map(as_array, made)), layers=layers, wide=wide, again=again)
