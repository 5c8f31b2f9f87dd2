"""Exporting a module with every dimension free that may be: the batch, the length of a sequence, what is stated."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from wua_onnx.errors import ConversionError

from . import _examples
from ._examples import Block, Sizes
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
        free = all(isinstance(dim, str) for shape in stated.values() for dim in shape[subject.batch_axis :][:1])
        traced, compared = (subject.take(block, n) if free else block for n in (_TRACED, _COMPARED))
        return _attempt(subject, traced, _stated(stated), translate, run(subject, compared))
    traced, few = subject.take(block, _TRACED), subject.take(block, _COMPARED)
    sizes = _examples.sizes_of(few, subject.batch_axis)
    length, shorter = sizes.length, _run_shorter(subject, few, sizes)
    fixed: tuple[str, ...] = ()
    if shorter is not None:
        axes = _Axes(Dim("batch"), Dim.AUTO)
        try:
            found = _attempt(subject, traced, axes, translate, shorter)
            if _has_free_length(found.program, 1 - subject.batch_axis):
                return found
            caution = f"{subject.where}: the length of sequences is fixed to {length}: forward uses it as a number"
            return dataclasses.replace(found, run=run(subject, few), cautions=(*found.cautions, caution))
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

    samples = min(subject.samples_in(block) or 1, _MOST)
    traced = subject.take(block, _TRACED)
    made = made or _first_taken(subject, block, samples)
    try:
        return _attempt(subject, traced, _Axes(Dim("batch")), translate, made)
    except ConversionError as error:
        if is_final(error):
            raise
        failure = error
    for count in dict.fromkeys((1, samples)):
        example = subject.take(block, count)
        caution = f"{subject.where}: the batch size is fixed to {count}; a free one failed: {_why(failure)}"
        if subject.batch_axis == 0 and any(len(_examples.shape_of(v)) == 3 for v in _examples.values_of(block)):
            caution += ". If X is (steps, samples, features), give batch_axis=1"
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
            return run(subject, subject.take(block, count))
    return run(subject, subject.take(block, samples))


def _attempt(subject: Subject, example: Block, axes: _Axes | None, translate: Translate, made: Run) -> Exported:
    """Trace and translate; where forward does something else for large batches, what it does for small ones."""
    from torch.export import Dim

    caution: tuple[str, ...] = ()
    try:
        program = _trace(subject, example, axes)
    except ConversionError as error:
        most = _MOST_SAMPLES.search(str(error.__cause__))
        if axes is None or most is None:
            raise
        program = _trace(subject, example, dataclasses.replace(axes, batch=Dim("batch", max=int(most[1]))))
        found = f"forward takes another way for more than {most[1]} samples at once; not looked at"
        caution = (f"{subject.where}: {found}",)
    return Exported(program=program, model=translate(program), run=made, cautions=caution)


_MOST_SAMPLES = re.compile(r"Dim\('batch', max=(\d+)\)")  # what torch.export suggests


def _why(error: ConversionError) -> str:
    lines = [line for line in str(error.__cause__ or error).strip().splitlines() if "Constraints violated" not in line]
    return lines[0].strip(" -") if lines else ""


def _has_free_length(program: ExportedProgram, axis: int) -> bool:
    """Return whether this axis of an input was left free."""
    inputs = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    shapes = (_examples.shape_of(inputs.get(str(name))) for name in program.graph_signature.user_inputs)
    return any(len(shape) > 1 and not str(shape[axis]).isdigit() for shape in shapes)


@dataclasses.dataclass(frozen=True, slots=True)
class _Axes:
    """Which axes are free: of the samples, of the steps of sequences, of the arguments that were stated."""

    batch: Any
    steps: Any = None
    stated: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def of(self, name: str, value: Any, sizes: Sizes) -> Any:
        if name in self.stated:
            return self.stated[name]
        if isinstance(value, tuple | list):
            return type(value)(self.of("", item, sizes) for item in value)
        if isinstance(value, Mapping):
            return {key: self.of("", item, sizes) for key, item in value.items()}
        own = sizes.axis_of(value)
        if own is None:
            return None
        long = self.steps is not None and sizes.length_of(value) == sizes.length
        return {own: self.batch} | ({1 - own: self.steps} if long else {})


def _stated(stated: Shapes) -> _Axes:
    """Return the axes that bear a name. The names come later: a Dim with a name must hold for every size from 2 on."""
    from torch.export import Dim

    shapes = {
        argument: {axis: Dim.DYNAMIC for axis, name in enumerate(shape) if isinstance(name, str)}
        for argument, shape in stated.items()
    }
    return _Axes(None, stated=shapes)


def _run_shorter(subject: Subject, block: Block, sizes: Sizes) -> Run | None:
    """Return what the module makes of the block with sequences one step shorter; None where it has or takes none."""
    if sizes.length is None:
        return None
    fewer = slice(sizes.length - 1)

    def cut(value: Any) -> Any:
        if sizes.length_of(value) != sizes.length:
            return value
        return value[:, fewer] if sizes.axis_of(value) == 0 else value[fewer]

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
        sizes = _examples.sizes_of(example, subject.batch_axis)
        shapes = {name: axes.of(name, value, sizes) for name, value in _arguments(module, args, kwargs)}
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
