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
from ._quiet import step
from ._torch_errors import exporting, is_final
from ._torch_recurrent import free_steps
from ._torch_run import Run, Subject, on, run

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch.export import ExportedProgram

Shapes: TypeAlias = "Mapping[str, tuple[int | str, ...]]"
Translate: TypeAlias = "Callable[[ExportedProgram], ir.Model]"

# Sizes 0 and 1 are special to torch.export, which would fix the batch to them. The comparison is on another size than
# the traced one, so that a size that went into the graph shows.
_TRACED = 3
_COMPARED = 2
_SHORTEST = 3  # steps of a sequence that can be traced with one step fewer
_MOST = 1024  # samples of X that a module with a fixed batch is tried on


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An exported module.

    Attributes:
        program: what torch.export made.
        model: what the ONNX exporter made of it.
        run: what the module itself makes of a few samples.
        cautions: what to tell the user.
    """

    program: ExportedProgram
    model: ir.Model
    run: Run
    cautions: tuple[str, ...] = ()


def export(subject: Subject, block: Block, stated: Shapes, translate: Translate) -> Exported:
    """Export with all dimensions free that the module leaves free, else with the smallest fixed batch it takes.

    Args:
        subject: the module, in evaluation mode.
        block: what to trace on.
        stated: names of free dimensions, by argument; they replace what would be tried.
        translate: turns a program into ONNX; where it cannot, fewer dimensions are left free.

    Raises:
        ConversionError: the module cannot be exported, or does not accept the block.
    """
    from torch.export import Dim

    if stated:
        free = all(shape and isinstance(shape[0], str) for shape in stated.values())
        traced, compared = (_examples.take(block, n) if free else block for n in (_TRACED, _COMPARED))
        return _attempt(subject, traced, _stated(stated), translate, run(subject, compared))
    traced, few = _examples.take(block, _TRACED), _examples.take(block, _COMPARED)
    length, shorter = _sequence_length(few), _run_shorter(subject, few)
    fixed: tuple[str, ...] = ()
    if shorter is not None:
        axes = _Axes({0: Dim("batch"), 1: Dim.AUTO}, {0: Dim("batch")})
        try:
            found = _attempt(subject, traced, axes, translate, shorter)
            if _has_free_length(found.program):
                return found
            caution = f"{subject.where}: the length of sequences is fixed to {length}: forward uses it as a number"
            return dataclasses.replace(found, run=run(subject, few), cautions=(caution,))
        except ConversionError as error:
            if is_final(error):
                raise
            caution = f"{subject.where}: the length of sequences is fixed to {length}; a free one failed: {_why(error)}"
            fixed = (caution,)
    made = run(subject, few) if shorter is not None else None
    found = _with_free_batch(subject, block, translate, made)
    return dataclasses.replace(found, cautions=fixed + found.cautions)


def _with_free_batch(subject: Subject, block: Block, translate: Translate, made: Run | None) -> Exported:
    """Export with the length of sequences fixed and a free batch, else a batch of as few samples as the module takes.

    Args:
        subject: the module.
        block: samples.
        translate: turns a program into ONNX.
        made: what the module makes of a few samples, where that is known.
    """
    from torch.export import Dim

    samples = min(_examples.samples_in(block) or 1, _MOST)
    traced = _examples.take(block, _TRACED)
    made = made or _first_taken(subject, block, samples)
    batch = {0: Dim("batch")}
    try:
        return _attempt(subject, traced, _Axes(batch, batch), translate, made)
    except ConversionError as error:
        if is_final(error):
            raise
        failure = error
    for count in dict.fromkeys((1, samples)):
        example = _examples.take(block, count)
        caution = f"{subject.where}: the batch size is fixed to {count}; a free one failed: {_why(failure)}"
        try:
            found = _attempt(subject, example, None, translate, run(subject, example))
            return dataclasses.replace(found, cautions=(caution,))
        except ConversionError as error:
            last = error
    raise last


def _first_taken(subject: Subject, block: Block, samples: int) -> Run:
    """Return what the module makes of a few samples, of one, or of all: it may take a batch of one size only."""
    for count in (_COMPARED, 1):
        with contextlib.suppress(ConversionError):
            return run(subject, _examples.take(block, count))
    return run(subject, _examples.take(block, samples))


def _attempt(subject: Subject, example: Block, axes: _Axes | None, translate: Translate, made: Run) -> Exported:
    program = _trace(subject, example, axes)
    return Exported(program=program, model=translate(program), run=made)


def _why(error: ConversionError) -> str:
    return str(error.__cause__ or error).strip().partition("\n")[0]


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
    floating = "float" in str(getattr(value, "dtype", ""))
    return int(shape[1]) if len(shape) == (3 if floating else 2) else None


def _sequence_length(block: Block) -> int | None:
    """Return the length that the sequences of the block have in common; None where there are none to shorten."""
    lengths = {_length(value) for value in _examples.values_of(block)} - {None}
    length = lengths.pop() if len(lengths) == 1 else None
    return length if length is not None and length >= _SHORTEST else None


def _run_shorter(subject: Subject, block: Block) -> Run | None:
    """Return what the module makes of the block with sequences one step shorter; None where it has or takes none."""
    length = _sequence_length(block)
    if length is None:
        return None

    def cut(value: Any) -> Any:
        return value[:, : length - 1] if _examples.shape_of(value)[1:2] == (length,) else value

    short = {n: cut(v) for n, v in block.items()} if isinstance(block, dict) else tuple(map(cut, block))
    try:
        return run(subject, short)
    except ConversionError:
        return None


def _trace(subject: Subject, example: Block, axes: _Axes | None) -> ExportedProgram:
    """Export the module on `example`; no axis is free where `axes` is None."""
    import torch

    module, where = subject.module, subject.where
    args, kwargs = subject.arguments(example)
    shapes = None
    if axes is not None:
        sizes = _examples.samples_in(example), _sequence_length(example)
        shapes = {name: axes.of(name, value, *sizes) for name, value in _arguments(module, args, kwargs)}
        _check_stated(axes.stated, shapes, where)
    step(f"exporting {where}")
    expected = "a module that can be exported and accepts X"
    with exporting(module, on(where, args, kwargs), expected), torch.no_grad(), free_steps():
        return torch.export.export(module, args, kwargs, dynamic_shapes=shapes, strict=False)


def _check_stated(stated: Mapping[str, Any], shapes: Mapping[str, Any], where: str) -> None:
    unknown = sorted(set(stated) - set(shapes))
    if unknown:
        raise ConversionError(f"{where}: expected shapes of {', '.join(shapes)}, got one of {', '.join(unknown)}")


def _arguments(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of `forward` by name; those of **kwargs by their own."""
    bound = inspect.signature(module.forward).bind(*args, **kwargs)
    extra = {name for name, p in bound.signature.parameters.items() if p.kind is p.VAR_KEYWORD}
    for name, value in bound.arguments.items():
        yield from value.items() if name in extra else [(name, value)]
