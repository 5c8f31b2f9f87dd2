"""Exporting a module with every dimension free that may be: the batch, the length of a sequence, what is stated."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from wua_onnx.errors import ConversionError

from . import _examples
from ._examples import Block
from ._quiet import converting, step
from ._torch_errors import exporting

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch
    from torch.export import ExportedProgram

Shapes: TypeAlias = "Mapping[str, tuple[int | str, ...]]"

# Sizes 0 and 1 are special to torch.export, which would fix the batch to them.
_TRACED = 3
_COMPARED = 5
_SHORTEST = 3  # steps of a sequence that can be traced with one step fewer


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An exported module.

    Attributes:
        program: what torch.export made.
        model: what the ONNX exporter made of it.
        example: samples to compare it on, of other sizes than the traced ones, so that a size in the graph shows.
        cautions: what to tell the user.
    """

    program: ExportedProgram
    model: ir.Model
    example: Block
    cautions: tuple[str, ...] = ()


def export(
    module: torch.nn.Module, block: Block, where: str, stated: Shapes, translate: Callable[[ExportedProgram], ir.Model]
) -> Exported:
    """Export with all dimensions free that the module leaves free, else with the smallest fixed batch it takes.

    Args:
        module: in evaluation mode.
        block: what to trace on.
        where: the module in messages.
        stated: names of free dimensions, by argument; they replace what would be tried.
        translate: turns a program into ONNX; where it cannot, fewer dimensions are left free.

    Raises:
        ConversionError: the module cannot be exported, or does not accept the block.
    """
    from torch.export import Dim

    def made(example: Block, axes: _Axes | None, compared: Block, *cautions: str) -> Exported:
        program = _trace(module, example, where, axes)
        return Exported(program=program, model=translate(program), example=compared, cautions=cautions)

    samples = _examples.samples_in(block) or 1
    traced = _examples.take(block, _TRACED)
    compared = _examples.take(block, min(samples, _COMPARED) if samples != _TRACED else 2)
    if stated:
        return made(traced if _frees_batch(stated) else block, _stated(stated), compared)
    batch, shorter = Dim("batch"), _shorter(module, compared, where)
    if shorter is not None:
        with contextlib.suppress(ConversionError):  # once more below, with the length of sequences fixed
            found = made(traced, _Axes({0: batch, 1: Dim.AUTO}, {0: batch}), shorter)
            return found if _has_free_length(found.program) else dataclasses.replace(found, example=compared)
    try:
        return made(traced, _Axes({0: batch}, {0: batch}), compared)
    except ConversionError as error:
        failure, refused = error, str(error.__cause__ or error).strip().partition("\n")[0]
    for count in dict.fromkeys((1, samples)):
        example = _examples.take(block, count)
        try:
            return made(
                example, None, example, f"{where}: the batch size is fixed to {count}; a free one failed: {refused}"
            )
        except ConversionError as error:
            failure = error
    raise failure


def _has_free_length(program: ExportedProgram) -> bool:
    """Return whether axis 1 of an input was left free."""
    inputs = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    shapes = (_examples.shape_of(inputs.get(str(name))) for name in program.graph_signature.user_inputs)
    return any(len(shape) > 1 and not str(shape[1]).isdigit() for shape in shapes)


@dataclasses.dataclass(frozen=True, slots=True)
class _Axes:
    """Which axes are free: of sequences, of other tensors, of the arguments that were stated."""

    sequence: Any
    other: Any
    stated: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def of(self, name: str, value: Any, samples: int | None, length: int | None) -> Any:
        if name in self.stated:
            return self.stated[name]
        if isinstance(value, tuple | list):
            return type(value)(self.of("", item, samples, length) for item in value)
        if isinstance(value, Mapping):
            return {key: self.of("", item, samples, length) for key, item in value.items()}
        if _examples.shape_of(value)[:1] != (samples,):
            return None
        return self.sequence if _examples.shape_of(value)[1:2] == (length,) else self.other


def _frees_batch(stated: Shapes) -> bool:
    return all(shape and isinstance(shape[0], str) for shape in stated.values())


def _stated(stated: Shapes) -> _Axes:
    from torch.export import Dim

    dims = {name: Dim(name) for shape in stated.values() for name in shape if isinstance(name, str)}
    shapes = {
        argument: {axis: dims[name] for axis, name in enumerate(shape) if isinstance(name, str)}
        for argument, shape in stated.items()
    }
    return _Axes(None, None, shapes)


def _length(value: Any) -> int | None:
    """Return the size of axis 1 where that may be the steps of a sequence: of token ids, masks, rows of features."""
    shape = _examples.shape_of(value)
    if len(shape) < 2:
        return None
    floating = value.is_floating_point() if hasattr(value, "is_floating_point") else False
    return int(shape[1]) if len(shape) == (3 if floating else 2) else None


def _sequence_length(block: Block) -> int | None:
    """Return the length that the sequences of the block have in common; None where there are none to shorten."""
    lengths = {_length(value) for value in _examples.values_of(block)} - {None}
    length = lengths.pop() if len(lengths) == 1 else None
    return length if length is not None and length >= _SHORTEST else None


def _shorter(module: torch.nn.Module, block: Block, where: str) -> Block | None:
    """Return the block with sequences one step shorter, where there are some and the module takes them."""
    import torch

    length = _sequence_length(block)
    if length is None:
        return None

    def cut(value: Any) -> Any:
        return value[:, : length - 1] if _examples.shape_of(value)[1:2] == (length,) else value

    short = {n: cut(v) for n, v in block.items()} if isinstance(block, dict) else tuple(map(cut, block))
    args, kwargs = bind(module, short, where)
    try:
        with converting(where, "another length"), torch.no_grad():
            module(*args, **kwargs)
    except ConversionError:
        return None
    return short


def _trace(module: torch.nn.Module, example: Block, where: str, axes: _Axes | None) -> ExportedProgram:
    """Export the module on `example`; no axis is free where `axes` is None."""
    import torch

    args, kwargs = bind(module, example, where)
    shapes = None
    if axes is not None:
        sizes = _examples.samples_in(example), _sequence_length(example)
        shapes = {name: axes.of(name, value, *sizes) for name, value in _arguments(module, args, kwargs)}
        _check_stated(axes.stated, shapes, where)
    step(f"exporting {where}")
    with exporting(module, on(where, example), "a module that can be exported and accepts X"), torch.no_grad():
        return torch.export.export(module, args, kwargs, dynamic_shapes=shapes, strict=False)


def _check_stated(stated: Mapping[str, Any], shapes: Mapping[str, Any], where: str) -> None:
    unknown = sorted(set(stated) - set(shapes))
    if unknown:
        raise ConversionError(f"{where}: expected shapes of {', '.join(shapes)}, got one of {', '.join(unknown)}")


def _arguments(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of `forward` by name; those of **kwargs by their own."""
    bound = inspect.signature(module.forward).bind(*args, **kwargs)
    extra = {name for name, p in bound.signature.parameters.items() if p.kind is p.VAR_KEYWORD}
    for name, value in bound.arguments.items():
        yield from value.items() if name in extra else [(name, value)]


def bind(module: torch.nn.Module, block: Block, where: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the block as arguments of `forward`; one value more than it takes is the labels.

    Raises:
        ConversionError: `forward` does not take these arguments.
    """
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


def on(where: str, example: Any) -> str:
    """Return `where` with the types and shapes of the example."""
    values = example.values() if isinstance(example, dict) else example
    shapes = [f"{str(v.dtype).removeprefix('torch.')} {list(v.shape)}" for v in values if hasattr(v, "shape")]
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
