"""What both halves share: the result, the file that appears whole or not at all, the check against the framework."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.errors import ConversionError, MissingDependency, OutputError, RunError

Array: TypeAlias = np.ndarray[Any, Any]

TOLERANCE = 1e-3  # of the largest absolute value of an output
# A protobuf message ends at 2 GiB, and what is not weights needs some of it.
EXTERNAL_ABOVE = 1 << 30  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """An ONNX file and where it came from.

    Attributes:
        path: the file; weights of more than 1 GiB in all lie beside it, in `<stem>.onnx.data`.
        framework: "pytorch", "keras" or "tensorflow".
        framework_version: its version.
        layer_names: the author's name of a layer by initializer or node name of the file, where the names in the
            file alone would not give it.
        max_difference: the largest absolute difference between the framework's outputs and onnxruntime's; None
            where nothing could be compared, and `warnings` says why.
        warnings: what the reader of the results should know, one sentence each.
    """

    path: Path
    framework: str
    framework_version: str
    layer_names: Mapping[str, str]
    max_difference: float | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What the framework itself made of a few samples.

    Attributes:
        feeds: the arrays that went in, by ONNX input name.
        outputs: the arrays that came out, in the order of the ONNX outputs.
    """

    feeds: Mapping[str, Array]
    outputs: tuple[Array, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A model in ONNX, not yet written; the attributes are those of `Converted`."""

    model: ir.Model
    framework: str
    framework_version: str
    layer_names: Mapping[str, str]
    example: Example | None
    warnings: tuple[str, ...] = field(default=())


def finish(draft: Draft, where: str, target: Path) -> Converted:
    """Write the model, compare it with its framework, and only then put it in its place.

    Raises:
        ConversionError: onnxruntime cannot run the model, or its outputs differ by more than the tolerance.
        OutputError: the file cannot be written.
    """
    caution: tuple[str, ...] = ()
    with staged(target) as path:
        size = sum(v.const_value.nbytes for v in draft.model.graph.initializers.values() if v.const_value is not None)
        external = f"{target.stem}.onnx.data" if size > EXTERNAL_ABOVE else None
        ir.save(draft.model, path, external_data=external)
        difference = None
        if draft.example is not None:
            try:
                difference = largest_difference(path, draft.example, where)
            except MissingDependency as error:
                caution = (f"the outputs were not compared with {draft.framework}'s: {error}",)
    return Converted(
        path=target,
        framework=draft.framework,
        framework_version=draft.framework_version,
        layer_names=draft.layer_names,
        max_difference=difference,
        warnings=draft.warnings + caution,
    )


@contextlib.contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Yield a path of the same name in a temporary folder beside `target`.

    When the body ends well, what lies in that folder replaces its namesakes beside `target`, the model last, so
    that it never stands without its data. When it raises, nothing is left and nothing is touched.

    Raises:
        OutputError: `target` is a folder, or its folder is missing or cannot be written to.
    """
    if target.is_dir():
        raise OutputError(f"{target}: expected the name of a file, got a folder")
    try:
        holder = tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise OutputError(f"{target}: expected a folder that can be written to, got {error}") from error
    with holder as folder:
        path = Path(folder) / target.name
        yield path
        for file in sorted(Path(folder).iterdir(), key=lambda file: file == path):
            os.replace(file, target.parent / file.name)


def largest_difference(path: Path, example: Example, where: str) -> float:
    """Return the largest absolute difference between the framework's floating-point outputs and onnxruntime's.

    Raises:
        ConversionError: the model does not run, has other outputs, or one differs by more than 1e-3 of its largest
            absolute value.
        MissingDependency: there is no onnxruntime.
    """
    from wua_onnx.running import Session

    try:
        session = Session(path.read_bytes(), path.parent)
        got = list(session.run(example.feeds).values())
    except RunError as error:
        raise ConversionError(f"{where}: expected a converted model that runs, got: {error}") from error
    if [array.shape for array in got] != [array.shape for array in example.outputs]:
        raise ConversionError(
            f"{where}: expected outputs of shapes {[list(array.shape) for array in example.outputs]} "
            f"as in the framework, got {[list(array.shape) for array in got]} from the converted model"
        )
    pairs = zip(session.outputs, example.outputs, got, strict=True)
    return max((_compare(name, a, b, where) for name, a, b in pairs), default=0.0)


def _compare(name: str, expected: Array, got: Array, where: str) -> float:
    if expected.dtype.kind not in "fc" or expected.size == 0:
        return 0.0
    wanted, found = expected.astype(np.float64), got.astype(np.float64)
    same = (wanted == found) | (np.isnan(wanted) & np.isnan(found))
    with np.errstate(invalid="ignore"):
        gaps = np.where(same, 0.0, np.abs(wanted - found))
    difference = float(np.where(np.isnan(gaps), np.inf, gaps).max())
    largest = float(np.max(np.abs(wanted), initial=0.0, where=np.isfinite(wanted)))
    if difference > TOLERANCE * largest:
        raise ConversionError(
            f"{where}, output {name!r}: expected the framework's values (largest {largest:.6g}) to within "
            f"{TOLERANCE * largest:.3g}, got a difference of {difference:.6g} from the converted model"
        )
    return difference
