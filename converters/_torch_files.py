"""PyTorch's .pt files: weights alone, TorchScript, exported programs under another suffix. Nothing is unpickled."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wua_onnx.errors import ConversionError

from ._factory import build
from ._kinds import Kind, kind_of
from ._pt2 import load_program
from ._quiet import converting, quiet, reason
from ._safetensors import load_safetensors

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

# Under which key training scripts keep the weights beside the state of the optimizer.
_NESTED = ("state_dict", "model_state_dict", "model", "weights")
_SHOWN = 5  # names of parameters in a message


def load_file(path: Path, factory: str | None) -> torch.nn.Module | ExportedProgram:
    """Return what is in a .pt file: a module with its weights, a TorchScript module, or an exported program.

    TorchScript is a program in a language of its own; loading may run parts of it, converting runs it.

    Raises:
        ConversionError: the file is damaged, holds a pickle that is not weights, or weights without their factory.
    """
    import torch

    names = _members(path)
    if any(name.endswith("archive_format") for name in names):
        return load_program(path)
    if any("/code/" in name for name in names):
        with converting(str(path), "a TorchScript module"):
            loaded: torch.nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call] # torch's own
            return loaded
    return _with_weights(path, factory)


def _members(path: Path) -> list[str]:
    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def _with_weights(path: Path, factory: str | None) -> torch.nn.Module:
    state = _state(path)
    if factory is None:
        raise ConversionError(
            f"{path}: expected the function that builds the module as well, got weights alone: "
            "name it with --factory mypkg.models:build (in Python: factory='mypkg.models:build')"
        )
    module = build(factory)
    if kind_of(module) is not Kind.TORCH_MODULE:
        raise ConversionError(f"{factory}: expected a torch.nn.Module, got {type(module).__qualname__}")
    own = module.state_dict()
    state = _as_named_in(own, state)
    missing, unknown = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    if missing or unknown:
        parts = [f"without {_some(missing)}"] * bool(missing) + [f"with {_some(unknown)} besides"] * bool(unknown)
        raise ConversionError(f"{path}: expected the weights of {factory}, got weights {' and '.join(parts)}")
    with converting(str(path), f"the weights of {factory}"):
        module.load_state_dict(state)
    made: torch.nn.Module = module
    return made


def _as_named_in(own: Mapping[str, Any], state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the state with the names that the module has for it, where these are plain to see.

    What a training script wraps a module in stands before every name (`module.` of DataParallel, `model.` of a
    LightningModule); of tensors that the module shares, a file may hold one.
    """
    around = {name.partition(".")[0] for name in state}
    inner = {name.partition(".")[2]: value for name, value in state.items()} if len(around) == 1 else {}
    if not set(own) & set(state) and set(own) & set(inner):
        state = inner
    place = {name: (tensor.data_ptr(), tensor.shape) for name, tensor in own.items() if tensor.numel()}
    given = {place[name]: value for name, value in state.items() if place.get(name, (0,))[0]}
    return {name: given[where] for name, where in place.items() if where in given} | dict(state)


def _state(path: Path) -> Mapping[str, Any]:
    """Return the tensors of a state dict by name; those of a checkpoint stand one level below."""
    import torch

    if path.suffix.lower() == ".safetensors":
        return load_safetensors(path)
    try:
        with quiet():  # it warns of pickles that it then refuses
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConversionError(
            f"{path}: expected weights alone, got a pickle that is loaded by running code from it "
            f"({_forbidden(error)}). Save torch.save(model.state_dict(), ...) or torch.export.save(...) instead; "
            "if you trust the file, load it with torch.load(..., weights_only=False) and pass the module"
        ) from None
    except Exception as error:  # a damaged file: RuntimeError, EOFError, KeyError and others
        raise ConversionError(f"{path}: expected a file of torch.save, got something else ({reason(error)})") from error
    for key in _NESTED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise ConversionError(f"{path}: expected tensors by name, got {type(loaded).__name__} of other objects")
    return {str(name): value for name, value in loaded.items()}


def _forbidden(error: pickle.UnpicklingError) -> str:
    """Return what the pickle asked for, out of PyTorch's long message."""
    text = str(error)
    start = text.find("GLOBAL ")
    return text[start:].split(" was not")[0].strip() if start >= 0 else "no list of tensors"


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
