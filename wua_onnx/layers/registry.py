"""The kinds of layers: which function recognises the use of a weight in which operator."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

from wua_onnx.model.node import NodeView

if TYPE_CHECKING:
    from wua_onnx.layers.layer import Use

# Returns the use of a weight, the reason why there is none to analyse, or None where the operator holds no weight;
# an iterator of those where it may hold several.
Recognise: TypeAlias = "Callable[[NodeView], Use | str | Iterator[Use | str] | None]"

_KINDS: dict[tuple[str, str], Recognise] = {}
_ON_REQUEST: set[tuple[str, str]] = set()


def layer_kind(op: str, *, domain: str = "", on_request: bool = False) -> Callable[[Recognise], Recognise]:
    """Register the decorated function for operator `op`; decorators stack.

    Args:
        op: the operator.
        domain: its domain.
        on_request: it holds scales of a normalisation, which are layers only where somebody asks for them.
    """

    def register(function: Recognise) -> Recognise:
        if (domain, op) in _KINDS:
            raise ValueError(f"layer kind for {domain}::{op}: expected one, got a second")
        _KINDS[domain, op] = function
        if on_request:
            _ON_REQUEST.add((domain, op))
        return function

    return register


@cache
def _load() -> None:
    from wua_onnx.layers import kinds as room

    for module in pkgutil.iter_modules(room.__path__):
        import_module(f"{room.__name__}.{module.name}")


def recognise(node: NodeView, *, normalization: bool = False) -> list[Use | str]:
    """Return the uses of weights in `node`, or why one cannot be analysed; nothing where it holds none.

    Args:
        node: the operator.
        normalization: scales of normalisations are weights, too.
    """
    _load()
    key = (node.domain, node.op_type)
    function = _KINDS.get(key) if normalization or key not in _ON_REQUEST else None
    found = function(node) if function is not None else None
    if found is None:
        return []
    return list(found) if isinstance(found, Iterator) else [found]
