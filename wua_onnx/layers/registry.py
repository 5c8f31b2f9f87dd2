"""The kinds of layers: which function recognises the use of a weight in which operator."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

from wua_onnx.model.graph import NodeView

if TYPE_CHECKING:
    from wua_onnx.layers.layer import Use

# Returns the use of a weight, the reason why there is none to analyse, or None where the operator holds no weight;
# an iterator of those where it may hold several.
Recognise: TypeAlias = "Callable[[NodeView], Use | str | Iterator[Use | str] | None]"

_KINDS: dict[tuple[str, str], Recognise] = {}


def layer_kind(op: str, *, domain: str = "") -> Callable[[Recognise], Recognise]:
    """Register the decorated function for operator `op`; decorators stack."""

    def register(function: Recognise) -> Recognise:
        if (domain, op) in _KINDS:
            raise ValueError(f"layer kind for {domain}::{op}: expected one, got a second")
        _KINDS[domain, op] = function
        return function

    return register


@cache
def _load() -> None:
    from wua_onnx.layers import kinds as room

    for module in pkgutil.iter_modules(room.__path__):
        import_module(f"{room.__name__}.{module.name}")


def recognise(node: NodeView) -> list[Use | str]:
    """Return the uses of weights in `node`, or why one cannot be analysed; nothing where it holds none."""
    _load()
    function = _KINDS.get((node.domain, node.op_type))
    found = function(node) if function is not None else None
    if found is None:
        return []
    return list(found) if isinstance(found, Iterator) else [found]
