"""Key-value caches of decoders: which inputs and outputs they are, and what one more token adds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.cost.memory import tensor_bytes
from wua_onnx.model.dims import Dim, product, total
from wua_onnx.model.graph import Model

# (past input, present output) of the operators that keep a cache themselves.
_KEEPERS: dict[tuple[str, str], tuple[tuple[int, int], ...]] = {
    ("", "Attention"): ((4, 1), (5, 2)),
    ("com.microsoft", "Attention"): ((4, 1),),
    ("com.microsoft", "DecoderMaskedSelfAttention"): ((4, 1),),
    ("com.microsoft", "DecoderMaskedMultiHeadAttention"): ((5, 1), (6, 2)),
    ("com.microsoft", "GroupQueryAttention"): ((3, 1), (4, 2)),
    ("com.microsoft", "MultiHeadAttention"): ((6, 1), (7, 2)),
    ("com.microsoft", "QAttention"): ((8, 1),),
    ("com.microsoft", "SparseAttention"): ((3, 1), (4, 2)),
}
_MARK = re.compile(r"past|present|cache|(?<![a-z])kv(?![a-z])", re.IGNORECASE)
_BOTH = re.compile(r"(past|present)_key_values?", re.IGNORECASE)
_SIDES = frozenset({"past", "present", "presents", "in", "out", "input", "output", "old", "new", "updated"})

Pair: TypeAlias = tuple[ir.Value, ir.Value]


def bytes_per_token(model: Model) -> Dim | None:
    """Return the bytes that one token of one sequence takes in all key-value caches; None where there are none.

    A cache is an input and an output of the same element type: of the graph, where both names say so
    (`past_key_values.0.key`, `present.0.key`) and the shapes differ in one dimension, the tokens; else of the
    operators that keep a cache. Layouts: (batch, heads, tokens, size), or (2, batch, heads, tokens, size) for both.
    """
    by_name = [(past, _growing_axis(model, past, present)) for past, present in _named_pairs(model)]
    found = [(past, axis) for past, axis in by_name if axis is not None]
    if not found:
        found = [(past, len(past.shape) - 2) for past in _kept(model) if past.shape is not None]
    sizes = [_per_token(model, past, axis) for past, axis in found]
    return total(size for size in sizes if size is not None) if any(size is not None for size in sizes) else None


def _per_token(model: Model, past: ir.Value, tokens: int) -> Dim | None:
    shape = model.shape(past)
    if shape is None or past.dtype is None or len(shape) < 3:
        return None
    batch = 1 if len(shape) == 5 else 0
    return tensor_bytes(product(dim for axis, dim in enumerate(shape) if axis not in (tokens, batch)), past.dtype)


def _named_pairs(model: Model) -> Iterator[Pair]:
    """Yield the inputs and outputs of the graph whose names say the past and the present of the same thing."""
    inputs = _by_key(model.inputs)
    for key, present in _by_key(model.ir_model.graph.outputs).items():
        if key in inputs:
            yield inputs[key], present


def _by_key(values: Sequence[ir.Value]) -> dict[str, ir.Value]:
    named = [(value.name, value) for value in values if value.name is not None and _MARK.search(clean(value.name))]
    return {_key(clean(name)): value for name, value in named}


def _key(name: str) -> str:
    """Return what of a name tells the layer, and key from value."""
    words = re.split(r"[^0-9a-z]+", _BOTH.sub(r"\1", name).lower())
    return " ".join(word for word in words if word not in _SIDES)


def _growing_axis(model: Model, past: ir.Value, present: ir.Value) -> int | None:
    """Return the one axis in which the two differ; None where they differ otherwise."""
    before, after = model.shape(past), model.shape(present)
    if before is None or after is None or len(before) != len(after) or past.dtype != present.dtype:
        return None
    differing = [axis for axis, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    return differing[0] if len(differing) == 1 else None


def _kept(model: Model) -> Iterator[ir.Value]:
    """Yield the past inputs of operators that hand out a present one."""
    for node in model.all_nodes():
        for given, handed in _KEEPERS.get(("" if node.domain == "ai.onnx" else node.domain, node.op_type), ()):
            past = node.inputs[given] if given < len(node.inputs) else None
            if past is not None and handed < len(node.outputs) and node.outputs[handed].name:
                yield past
