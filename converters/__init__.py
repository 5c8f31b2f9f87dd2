"""Turning the models of PyTorch, Keras and TensorFlow into ONNX files.

No framework is imported unless one of its objects or files is given, and then only that one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wua_onnx.errors import ConversionError

from ._kinds import Kind, kind_of

if TYPE_CHECKING:
    from ._base import Converted as Converted

__all__ = ["Converted", "is_convertible", "to_onnx"]

_PYTORCH = (Kind.TORCH_MODULE, Kind.EXPORTED_PROGRAM, Kind.PT2_FILE)


def is_convertible(model: object) -> bool:
    """Return whether `to_onnx` knows this kind of object or file. Imports nothing; an ONNX model is none of them."""
    return kind_of(model) is not None


def to_onnx(
    model: Any,
    path: str | os.PathLike[str],
    X: Any = None,
    *,
    dims: Mapping[str, int | tuple[int, ...]] | None = None,
) -> Converted:
    """Write `model` to `path` as ONNX; the file appears whole or not at all.

    Args:
        model: a torch.nn.Module, a torch.export.ExportedProgram, a Keras model, a tf.function or tf.Module, or a path
            to a .pt2, .keras, .h5 or .tflite file or to a SavedModel folder.
        path: the file to write. Weights of more than 1 GiB in all go beside it, to `<stem>.onnx.data`.
        X: data, of which a few samples are run through both models to compare them: an array or tensor, a tuple (one
            an input), a mapping by input name, a list or loader of such batches, a path to .npy or .npz. PyTorch
            modules need it, since their inputs are written nowhere; the others do with random values.
        dims: whole shapes for those random values, by input name; other entries change nothing here.

    Raises:
        ConversionError: the model is of no known kind, cannot be converted, does not accept X, or gives other outputs
            once converted.
        MissingDependency: the framework is not installed.
        OutputError: `path` cannot be written.
    """
    kind = kind_of(model)
    if kind is None:
        raise ConversionError(f"model: expected {', '.join(kind.value for kind in Kind)}, got {_shown(model)}")
    if isinstance(model, str | os.PathLike):
        model = Path(model)
        if not model.exists():
            raise ConversionError(f"{model}: expected {kind.value}, got no such file")
    if kind in _PYTORCH:
        from .from_pytorch import draft_pytorch

        draft, where = draft_pytorch(kind, model, X)
    else:
        from .from_tensorflow import draft_tensorflow

        draft, where = draft_tensorflow(kind, model, X, dims or {})
    from ._base import finish

    return finish(draft, where, Path(path))


def _shown(model: object) -> str:
    if isinstance(model, str | os.PathLike):
        path = Path(model)
        return f"the folder {path}, without saved_model.pb" if path.is_dir() else f"the path {path}"
    return f"{type(model).__module__}.{type(model).__qualname__}"


def __getattr__(name: str) -> Any:
    """Load `Converted` when it is first asked for: the module that holds it imports onnx_ir."""
    if name == "Converted":
        from ._base import Converted

        return Converted
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
