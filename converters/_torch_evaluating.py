"""A module as it is exported: in evaluation mode, and afterwards as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# What torch.compile and data parallelism put around a module, and the attribute that holds it.
_AROUND = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}


def unwrapped(module: torch.nn.Module) -> torch.nn.Module:
    """Return the module whose paths the author knows."""
    while type(module).__module__.startswith("torch.") and type(module).__name__ in _AROUND:
        module = getattr(module, _AROUND[type(module).__name__])
    return module


# What models of Hugging Face's are told while they are exported, in place of what they would do: to return no key-value
# cache, which is no tensor, and to multiply by the weights of the experts that were chosen, where the other ways are a
# loop over values or an operator of their own.
_EXPORTABLE: dict[str, dict[Any, Any]] = {
    "use_cache": {True: False},
    "_experts_implementation_internal": {"grouped_mm": "batched_mm", "eager": "batched_mm"},
}


@contextlib.contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Put the module in evaluation mode, its configurations in a form that can be exported.

    At the end every submodule has its own training flag again, every configuration what it said, every buffer the
    values it had: some keep a state.
    """
    import torch

    flags = [(part, part.training) for part in module.modules()]
    configs = {id(config): config for part, _ in flags if hasattr(config := getattr(part, "config", None), "__dict__")}
    before = [
        (vars(config), name, vars(config)[name])
        for config in configs.values()
        for name, instead in _EXPORTABLE.items()
        if isinstance(value := vars(config).get(name), str | bool) and value in instead
    ]
    buffers = [
        (part, name, buffer, buffer._version, buffer.clone())
        for part, _ in flags
        if not isinstance(part, torch.jit.ScriptModule)  # its attributes are not to be set
        for name, buffer in part.named_buffers(recurse=False)
    ]
    module.eval()
    try:
        for settings, name, value in before:
            settings[name] = _EXPORTABLE[name][value]
        yield
    finally:
        for settings, name, value in before:
            settings[name] = value
        for part, training in flags:
            part.training = training
        for part, name, buffer, version, values in buffers:
            if buffer._version != version:
                buffer.copy_(values)
            if part._buffers.get(name) is not buffer:
                part._buffers[name] = buffer
