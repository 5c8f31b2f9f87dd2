"""Turning the models of PyTorch, Keras and TensorFlow into ONNX files.

No framework is imported unless one of its objects or files is given, and then only that one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wua_onnx.errors import ConversionError

from ._factory import Recipe, build
from ._kinds import Kind, kind_of
from ._quiet import telling
from ._triton import triton_unless_fatal

if TYPE_CHECKING:
    from ._base import Converted as Converted
    from ._base import Draft

__all__ = ["Converted", "Recipe", "is_convertible", "telling", "to_onnx"]

_PYTORCH = (Kind.TORCH_MODULE, Kind.EXPORTED_PROGRAM, Kind.PT2_FILE, Kind.TORCH_FILE)


def is_convertible(model: object) -> bool:
    """Return whether `to_onnx` knows this kind of object or file. Imports nothing; an ONNX model is none of them."""
    return kind_of(model) is not None


def to_onnx(
    model: Any,
    path: str | os.PathLike[str],
    X: Any = None,
    *,
    dims: Mapping[str, Any] | None = None,
    factory: str | None = None,
    signature: str | None = None,
    batch_axis: int = 0,
    progress: Callable[[str], None] | None = None,
    verbose: bool = False,
) -> Converted:
    """Write `model` to `path` as ONNX; the file appears whole or not at all.

    Args:
        model: a torch.nn.Module, a torch.export.ExportedProgram, a Keras model, a tf.function or tf.Module, or a path
            to a .pt2, .pt, .keras, .h5, .tflite or frozen .pb file or to a SavedModel folder, or the name of a function
            that makes one of these, `mypkg.models:build`; or one of these in a `Recipe`.
        path: the file to write. Weights of more than 1 GiB in all go beside it, to `<stem>.onnx.data`.
        X: data, of which a few samples are run through both models to compare them: an array or tensor, a tuple (one
            an input), a mapping by input name, a list or loader of such batches, a path to .npy or .npz. PyTorch
            modules need it, since their inputs are written nowhere; the others do with random values.
        dims: shapes by input name, for those random values. For a PyTorch module a shape may hold names, which are
            the dimensions to leave free: `{"ids": ("batch", "sequence")}`; without one, the batch and the length of
            sequences are free wherever the module leaves them so. Other entries change nothing here.
        factory: `module:function` that builds the untrained model, for a file that holds weights alone.
        signature: which signature of a SavedModel is meant; `serving_default` by default, or the only one.
        batch_axis: the axis of X along which samples lie: 1 for (steps, samples, features). Models of Keras and
            TensorFlow must leave it free; their first axis is the batch otherwise.
        progress: is told of each step, in words.
        verbose: whether to show on stderr what the frameworks print; it is shown in any case where they fail.

    Raises:
        ConversionError: the model is of no known kind, cannot be converted, does not accept X, or gives other outputs
            once converted.
        MissingDependency: the framework is not installed.
        OutputError: `path` cannot be written.
    """
    recipe = model if isinstance(model, Recipe) else Recipe(model)
    recipe = replace(recipe, factory=factory or recipe.factory, signature=signature or recipe.signature)
    with telling(progress, verbose), triton_unless_fatal():
        draft, where = _draft(recipe, X, dims or {}, batch_axis)
        from ._base import finish

        return finish(draft, where, Path(path))


def _draft(recipe: Recipe, X: Any, dims: Mapping[str, Any], batch_axis: int) -> tuple[Draft, str]:
    """Return the model in ONNX, not yet written, and its name in messages."""
    model, kind = recipe.model, kind_of(recipe.model)
    if kind is None:
        raise ConversionError(f"model: expected {', '.join(kind.value for kind in Kind)}, got {_shown(model)}")
    if kind is Kind.FACTORY:
        made = build(str(model))
        if kind_of(made) in (None, Kind.FACTORY):
            raise ConversionError(f"{model}: expected a function that makes a model, got {_shown(made)} from it")
        return _draft(replace(recipe, model=made), X, dims, batch_axis)
    if isinstance(model, str | os.PathLike):
        model = Path(model)
        if not model.exists():
            raise ConversionError(f"{model}: expected {kind.value}, got no such file")
    if kind in _PYTORCH:
        from .from_pytorch import draft_pytorch

        shapes = {name: shape for name, shape in dims.items() if isinstance(shape, tuple)}
        return draft_pytorch(kind, model, X, factory=recipe.factory, shapes=shapes, batch_axis=batch_axis)
    from .from_tensorflow import draft_tensorflow

    return draft_tensorflow(kind, replace(recipe, model=model), X, dims, batch_axis)


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
