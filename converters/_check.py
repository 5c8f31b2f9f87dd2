"""Comparing what a framework computes with what onnxruntime makes of the converted file."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_ir as ir

from wua_onnx.errors import ConversionError, RunError, WuaError
from wua_onnx.model.load import skeleton_of
from wua_onnx.model.scopes import folded_normalization, module_name, module_path

from ._tolerance import ROUNDINGS, TOLERANCE, gap, narrowest, precision_of, steps
from ._upcast import upcast

Array: TypeAlias = np.ndarray[Any, Any]
Layers: TypeAlias = "Iterable[tuple[str, Array]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What the framework itself made of a few samples.

    Attributes:
        feeds: the arrays that went in, by ONNX input name.
        outputs: the arrays that came out, in the order of the ONNX outputs.
        layers: runs the samples once more and returns what each layer made of them, by its path, in the order in
            which they ran; only called to find the layer that goes wrong.
        wide: computes the outputs in another way, in float32 or by other kernels, where the framework was given a model
            in a narrower type: what tells how far it rounds.
        again: computes the outputs once more, as before; only called to find out whether the model is random.
        narrow: float16 or bfloat16, where the framework computes in it and the model does not.
        sizes: the name and the shape of what each layer makes, by its path, in the framework; None for an axis as
            long as the batch.
    """

    feeds: Mapping[str, Array]
    outputs: tuple[Array, ...]
    layers: Callable[[], Layers] | None = None
    wide: Callable[[], tuple[Array, ...]] | None = None
    again: Callable[[], tuple[Array, ...]] | None = None
    narrow: ir.DataType | None = None
    sizes: Mapping[str, tuple[str, tuple[int | None, ...]]] = field(default_factory=dict)


def largest_difference(model: ir.Model, path: Path, example: Example, where: str) -> float:
    """Return the largest absolute difference between the framework's outputs and onnxruntime's.

    A model in bfloat16, which onnxruntime does not compute in on a CPU, is run in float32.

    Raises:
        ConversionError: the model does not run, has other outputs, or one differs by more than 1e-3 of its largest
            absolute value; more is allowed where it computes in a narrower type, and whole numbers may differ then.
        MissingDependency: there is no onnxruntime.
    """
    narrow = narrowest(model)
    with _runnable(path, narrow) as (proto, folder):
        worst = _compared(model, proto, folder, example, where, narrow)
        _check_sizes(path, proto, folder, example, where)
    return worst


@contextlib.contextmanager
def _runnable(path: Path, narrow: ir.DataType | None) -> Iterator[tuple[onnx.ModelProto, Path]]:
    """Yield the model as onnxruntime can run it, its big weights in files of the folder that comes with it."""
    if narrow is not ir.DataType.BFLOAT16:
        yield onnx.ModelProto.FromString(skeleton_of(path)), path.parent
        return
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        proto = upcast(onnx.load(path))
        # A message of more than 2 GiB cannot be handed over; this leaves in `proto` where the values lie.
        onnx.save_model(proto, Path(folder) / path.name, save_as_external_data=True, location="wide.data")
        yield proto, Path(folder)


def _compared(
    model: ir.Model, proto: onnx.ModelProto, folder: Path, example: Example, where: str, narrow: ir.DataType | None
) -> float:
    """Return the largest difference of the outputs of `proto` from those in the example."""
    try:
        names, got = _run(proto, folder, example)
    except RunError as error:
        raise ConversionError(f"{where}: expected a converted model that runs, got: {error}") from error
    if [array.shape for array in got] != [array.shape for array in example.outputs]:
        raise ConversionError(
            f"{where}: expected outputs of shapes {[list(array.shape) for array in example.outputs]} "
            f"as in the framework, got {[list(array.shape) for array in got]} from the converted model"
        )
    precision = precision_of(model, narrow or example.narrow, example.wide is not None)
    rounded = steps(model)
    worst = 0.0
    for index, (name, expected, found) in enumerate(zip(names, example.outputs, got, strict=True)):
        off = gap(expected, found)
        limit = precision.allowed(off, expected, rounded[index])
        if off.difference > limit and example.wide is not None:
            limit = max(limit, ROUNDINGS * gap(example.wide()[index], expected).difference)
        if off.difference > limit:
            raise ConversionError(
                f"{where}, output {name!r}: expected the framework's values (largest {off.largest:.6g}) to within "
                f"{limit:.3g}, got a difference of {off.difference:.6g} from the converted model"
                f"{_first_diverging(model, proto, folder, example, precision.relative)}{_random(example)}"
            )
        worst = max(worst, off.difference)
    return worst


def _random(example: Example) -> str:
    """Return a sentence on how far two runs of the framework itself are apart; none where they agree."""
    try:
        made = () if example.again is None else example.again()
    except WuaError:
        return ""
    pairs = zip(example.outputs, made, strict=False)
    gaps = [gap(first, second) for first, second in pairs if first.shape == second.shape]
    off = max((found.difference for found in gaps if found.difference > TOLERANCE * found.largest), default=None)
    if off is None:
        return ""
    return (
        f". Two runs of the model itself on the same samples differ by {off:.6g}: it draws random numbers or keeps a "
        "state, so that there is nothing to compare with. To try: convert it without its noise, masks or "
        "dropout, or with what it draws as an input"
    )


def _check_sizes(path: Path, proto: onnx.ModelProto, folder: Path, example: Example, where: str) -> None:
    """Refuse a model in which a layer makes more or fewer values than in the framework, whatever comes out in the end.

    A network whose last layers reduce or saturate may hide that. Shapes alone tell which layers to look at; only
    these are run.

    Raises:
        ConversionError: names the layer.
    """
    suspects = _suspects(path, example)
    if not suspects or example.layers is None:
        return
    shown = onnx.ModelProto()
    shown.CopyFrom(proto)
    known = {output.name for output in proto.graph.output}
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in set(suspects.values()) - known)
    try:
        got = dict(zip(*_run(shown, folder, example), strict=True))
        made = [(layer, expected, got[suspects[layer]]) for layer, expected in example.layers() if layer in suspects]
    except WuaError:
        return  # the comparison of outputs stands
    for layer, expected, found in made:
        if expected.size != found.size:
            raise ConversionError(
                f"{where}, layer {layer!r}: expected {list(expected.shape)} as in the framework, "
                f"got {list(found.shape)} from the converted model"
            )


def _suspects(path: Path, example: Example) -> dict[str, str]:
    """Return the name of the value that a layer makes, by its path, where inferred shapes differ in their sizes."""
    from wua_onnx.model import load

    if not example.sizes or not example.feeds:
        return {}
    model = load(path, dims={name: array.shape for name, array in example.feeds.items()})
    batch = next(iter(example.feeds.values())).shape[:1]
    values = {output.name: output for node in model.ir_model.graph for output in node.outputs}
    found = {}
    for layer, (name, shape) in example.sizes.items():
        inferred = (model.shape(values[name]) if name in values else None) or ()
        known = [size for size in inferred if isinstance(size, int)]
        expected = math.prod((batch[0] if batch else 1) if size is None else size for size in shape)
        if inferred and len(known) == len(inferred) and math.prod(known) != expected:
            found[layer] = name
    return found


def _run(proto: onnx.ModelProto, folder: Path, example: Example) -> tuple[list[str], list[Array]]:
    from wua_onnx.running import Session

    class Once(Session):
        def _configure(self, runtime: Any, options: Any) -> None:
            # Rearranging the weights takes as long as a run and makes the next ones faster; there are none.
            options.add_session_config_entry("session.disable_prepacking", "1")

    made = Once(proto.SerializeToString(), folder).run(example.feeds)
    return list(made), list(made.values())


def _first_diverging(model: ir.Model, proto: onnx.ModelProto, folder: Path, example: Example, tolerance: float) -> str:
    """Return a sentence on the first layer whose output differs, in the order in which the framework ran them."""
    if example.layers is None:
        return ""
    values = _last_values(model)
    known = {output.name for output in proto.graph.output}
    shown = onnx.ModelProto()
    shown.CopyFrom(proto)
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in set(values.values()) - known)
    try:
        names, arrays = _run(shown, folder, example)
        got = dict(zip(names, arrays, strict=True))
        for path, expected in example.layers():
            found = got.get(values.get(path, ""))
            if found is not None and found.size == expected.size:
                off = gap(*_aligned(expected, found))
                if off.difference > tolerance * off.largest:
                    return f". The first layer that differs is {path!r}, by {off.difference:.6g} ({off.largest:.6g})"
    except WuaError:  # the search must not hide what it is about
        return ""
    return ". Every layer by itself agrees: what differs is computed outside of them"


def _last_values(model: ir.Model) -> dict[str, str]:
    """Return the name of the value that the last operator of each module makes, by the module's path.

    What a convolution with a folded normalisation makes is the normalisation's.
    """
    values: dict[str, str] = {}
    for node in model.graph:
        folded = folded_normalization(node)
        path = module_path(node) if folded is None else tuple(folded.split("."))
        for end in range(1, len(path) + 1):
            values[module_name(path[:end], node)] = str(node.outputs[0].name)
    return values


def _aligned(expected: Array, found: Array) -> tuple[Array, Array]:
    """Return the arrays as they are; sorted where their axes are ordered differently (channels first or last)."""
    if expected.shape == found.shape:
        return expected, found
    return np.sort(expected, axis=None), np.sort(found, axis=None)
