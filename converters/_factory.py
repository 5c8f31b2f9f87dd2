"""Models that are made by a function of the user's: `mypkg.models:build`."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wua_onnx.errors import ConversionError

from ._quiet import is_verbose, quiet, reason

_SPEC = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model with what is needed to open it.

    Attributes:
        model: what `to_onnx` accepts.
        factory: `module:function` that returns the untrained model, where `model` is a file of weights alone.
        signature: which signature of a SavedModel is meant.
        inputs: names of the graph's inputs, where `model` is a frozen TensorFlow graph.
        outputs: the same for its outputs.
    """

    model: Any
    factory: str | None = None
    signature: str | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the model: of its file or folder, else of its class."""
        given = self.model
        return Path(given).stem if isinstance(given, str | os.PathLike) else type(given).__name__


def is_factory(text: str) -> bool:
    """Return whether `text` is written `module:function`."""
    return _SPEC.fullmatch(text) is not None


def build(spec: str) -> Any:
    """Import the module and return what its function makes; it is called without arguments.

    A model that the module already holds under that name is returned as it is. The module is looked for in the
    working directory as well, and its code runs.

    Raises:
        ConversionError: there is no such module or name, or the function fails.
    """
    from ._kinds import kind_of

    if not is_factory(spec):
        raise ConversionError(f"factory: expected module:function, as in mypkg.models:build, got {spec!r}")
    module_name, _, attribute = spec.partition(":")
    with _working_directory_importable():
        value = _attribute(_module(module_name, spec), attribute, spec)
        if kind_of(value) is not None and not isinstance(value, str):
            return value
        if not callable(value):
            raise ConversionError(f"{spec}: expected a function that makes a model, got {type(value).__qualname__}")
        try:
            with _users_code():
                return value()
        except Exception as error:  # whatever the user's code raises
            raise ConversionError(
                f"{spec}: expected a function that makes a model without arguments, got {reason(error)}{_line(error)}"
            ) from error


def _module(name: str, spec: str) -> Any:
    try:
        with _users_code():
            return importlib.import_module(name)
    except Exception as error:  # whatever the user's code raises
        absent = isinstance(error, ModuleNotFoundError) and name.startswith(error.name or "-")
        got = f"none in {Path.cwd()} or on the path" if absent else f"{reason(error)}{_line(error)}"
        raise ConversionError(f"{spec}: expected a module {name} that can be imported, got {got}") from error


def _attribute(module: Any, path: str, spec: str) -> Any:
    value = module
    for part in path.split("."):
        if not hasattr(value, part):
            has = [name for name, item in vars(module).items() if callable(item) and not name.startswith("_")]
            raise ConversionError(
                f"{spec}: expected a function {path}, got a module with {', '.join(sorted(has)[:20]) or 'no function'}"
            )
        value = getattr(value, part)
    return value


def _line(error: BaseException) -> str:
    """Return the line of code that raised, of the innermost frame."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    return f" (line {frames[-1].lineno} of {frames[-1].filename})" if frames else ""


@contextlib.contextmanager
def _users_code() -> Iterator[None]:
    """Show on stderr what the body prints, which is no result, without what frameworks say when it imports them."""
    said, noise = io.StringIO(), io.StringIO()
    try:
        with quiet() as noise, contextlib.redirect_stdout(said):
            yield
    finally:
        sys.stderr.write(said.getvalue() + (noise.getvalue() if is_verbose() else ""))


@contextlib.contextmanager
def _working_directory_importable() -> Iterator[None]:
    """Put the working directory in front of the path, as `python -m` does and an installed command does not."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
