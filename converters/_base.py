"""What both halves share: the result, the file that appears whole or not at all, the check against the framework."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx_ir as ir

from wua_onnx.errors import MissingDependency, OutputError

from ._check import Example as Example
from ._check import largest_difference
from ._quiet import step

# A protobuf message ends at 2 GiB, and what is not weights needs some of it.
EXTERNAL_ABOVE = 1 << 30  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """What a framework knows of a module and the file does not say.

    Attributes:
        class_name: the class, with its package; None where it is not known.
        line: `file:line` of the author's code that called it; None where the exporter does not know it.
        folded: the path of a BatchNormalization whose scale and shift are in this module's weights.
    """

    class_name: str | None
    line: str | None
    folded: str | None = None

    def to_dict(self) -> dict[str, str]:
        """Return what is known, as JSON has it."""
        known = {"class": self.class_name, "line": self.line, "folded": self.folded}
        return {name: value for name, value in known.items() if value is not None}


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
        modules: what is known of each module, by its path.
    """

    path: Path
    framework: str
    framework_version: str
    layer_names: Mapping[str, str]
    max_difference: float | None
    warnings: tuple[str, ...]
    modules: Mapping[str, Module] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A model in ONNX, not yet written; the attributes are those of `Converted`."""

    model: ir.Model
    framework: str
    framework_version: str
    layer_names: Mapping[str, str]
    example: Example | None
    warnings: tuple[str, ...] = field(default=())
    modules: Mapping[str, Module] = field(default_factory=dict)


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
        step(f"writing {target.name}")
        ir.save(draft.model, path, external_data=external)
        caution = _objections(path)
        difference = None
        if draft.example is not None:
            step(f"comparing with {draft.framework}")
            try:
                difference = largest_difference(draft.model, path, draft.example, where)
            except MissingDependency as error:
                caution += (f"the outputs were not compared with {draft.framework}'s: {error}",)
    return Converted(
        path=target,
        framework=draft.framework,
        framework_version=draft.framework_version,
        layer_names=draft.layer_names,
        max_difference=difference,
        warnings=draft.warnings + caution,
        modules=draft.modules,
    )


def _objections(path: Path) -> tuple[str, ...]:
    """Return what onnx's checker says against the file, which advises and does not decide."""
    from wua_onnx.model.load import skeleton_of
    from wua_onnx.running.checker import verdict

    found = verdict(skeleton_of(path))
    return () if found is None else (f"onnx's checker objects: {found}",)


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
        raise OutputError(f"{target}: expected a folder that can be written to, got {error.strerror}") from error
    with holder as folder:
        path = Path(folder) / target.name
        yield path
        for file in sorted(Path(folder).iterdir(), key=lambda file: file == path):
            os.replace(file, target.parent / file.name)
