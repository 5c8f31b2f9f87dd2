"""A cost report in labelled lines: totals, memory, formulas, and what the figures leave out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, TypeAlias

from wua_onnx._text import visible
from wua_onnx.report import numbers as n
from wua_onnx.report.method import Fact, constant_nodes, unused_nodes
from wua_onnx.report.verdict import bound_of

Json: TypeAlias = Mapping[str, Any]

_ALIVE, _DTYPES, _SHARED, _MOST_EQUAL = 3, 4, 3, 3  # named one by one
_FORMULAS = (
    ("MACs", "macs"),
    ("FLOPs", "flops"),
    ("integer operations", "int_ops"),
    ("bytes moved", "bytes_moved"),
    ("activation bytes", "activation_bytes"),
    ("peak activation bytes", "peak_activation_bytes"),
)


def cost_facts(cost: Json) -> list[Fact]:
    """Return the totals; symbolic ones stand in `formulas`."""
    sign = bound_of(cost).sign
    counts = (("MACs", "macs", "MACs"), ("FLOPs", "flops", "FLOPs"), ("integer operations", "int_ops", ""))
    sizes = (("bytes moved", "bytes_moved"), ("activations, all", "activation_bytes"), ("activations, peak", _PEAK))
    known = [
        ("parameters", n.amount(cost["params"])),
        ("shared, counted once", _shared(cost)),
        ("weights", _weights(cost)),
        *((label, sign + _exact(cost[key], unit)) for label, key, unit in counts if _counts(cost[key])),
        ("MACs in integers where Q/DQ is fused", _quantized(cost)),
        *((label, _bytes(cost[key])) for label, key in sizes if n.number(cost[key]) is not None),
        ("alive at the peak", _alive(cost)),
        ("key-value cache", f"{n.size(cost['kv_cache_bytes_per_token'])} per token" if _has_cache(cost) else ""),
        ("intensity", f"{cost['intensity']:.3g} operations per byte" if cost.get("intensity") is not None else ""),
    ]
    return [Fact(label=label, value=value) for label, value in known if value]


_PEAK = "peak_activation_bytes"


def _counts(value: n.Number) -> bool:
    return n.number(value) not in (None, 0)


def _quantized(cost: Json) -> str:
    value = cost.get("quantized_macs", 0)
    return _exact(value, "MACs") if _counts(value) else ""


def _has_cache(cost: Json) -> bool:
    return cost.get("kv_cache_bytes_per_token") is not None


def _exact(value: n.Number, unit: str) -> str:
    short, exact = n.short(value, unit), n.count(value)
    return short if short.removesuffix(unit).strip() == exact else f"{short} ({exact})"


def _bytes(value: n.Number) -> str:
    return f"{n.size(value)} ({n.count(value)})"


def _shared(cost: Json) -> str:
    shared = cost.get("shared_parameters") or {}
    names = ", ".join(f"{visible(name, 40)} ({n.count(uses)} nodes)" for name, uses in list(shared.items())[:_SHARED])
    return names + (f" and {len(shared) - _SHARED:,} more" if len(shared) > _SHARED else "")


def _weights(cost: Json) -> str:
    kinds = list((cost.get("weight_bytes_by_dtype") or {}).items())
    if not kinds:
        return n.size(cost["weight_bytes"])
    parts = [f"{n.size(size)} {visible(dtype).lower()}" for dtype, size in kinds[:_DTYPES]]
    parts += [f"{len(kinds) - _DTYPES} more types"] if len(kinds) > _DTYPES else []
    return parts[0] if len(kinds) == 1 else f"{n.size(cost['weight_bytes'])}: {', '.join(parts)}"


def _alive(cost: Json) -> str:
    alive = cost.get("alive_at_peak") or []
    names = [f"{visible(tensor['name'], 40)} {n.size(tensor['bytes'])}" for tensor in alive[:_ALIVE]]
    return ", ".join(names) + (f" and {len(alive) - _ALIVE:,} more" if len(alive) > _ALIVE else "")


def formulas(cost: Json) -> list[Fact]:
    """Return the totals that depend on free dimensions, written out in the model's own names."""
    found = [(label, n.symbolic(cost[key], 2000)) for label, key in _FORMULAS]
    return [Fact(label=label, value=text) for label, text in found if text is not None]


def notes(cost: Json) -> list[str]:
    """Return what a reader of the figures has to know: work set apart, unknown sizes and operators, free dimensions."""
    constant, unused = len(constant_nodes(cost)), len(unused_nodes(cost))
    unsized = len(cost.get("unsized") or ())
    lines = []
    if constant:
        lines.append(f"{n.plural(constant, 'node')} computed once at load: 0 per run")
    if unused:
        lines.append(f"{n.plural(unused, 'node')} reach{'es' if unused == 1 else ''} no output: 0 per run")
    if unsized:
        lines.append(f"the size of {n.plural(unsized, 'activation')} is not known: bytes and memory leave them out")
    for pair in (cost.get("equal_sizes") or ())[:_MOST_EQUAL]:
        one, other = (n.count(pair[end]) for end in ("one", "other"))
        lines.append(f"{one} and {other} are taken for equal, at {visible(pair['where'])} first")
    lines += [
        f"not counted: {visible(op)}, {n.plural(int(n.number(k) or 0), 'node')}"
        for op, k in cost["unsupported"].items()
    ]
    return lines


def binding(cost: Json) -> str:
    """Return the options that would turn the formulas into numbers; empty where there is none."""
    return " ".join(f"--dim {shlex.quote(symbol)}=1" for symbol in cost["symbols"][:4])
