"""Binding the free dimensions of a report: what sizes may be given, and every figure with them in place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from wua_onnx.cost.peaks import peak
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, once_each

if TYPE_CHECKING:
    from wua_onnx.cost.report import CostReport


def checked_sizes(where: str, free: Collection[str], values: Mapping[str, int]) -> dict[str, int]:
    """Return `values`, sizes of the symbols `free`, as Python integers.

    Raises:
        ShapeError: a name is no free symbol, or a size is no integer of at least 0.
    """
    result = {}
    for name, size in values.items():
        if name not in free:
            known = ", ".join(free) or "none"
            raise ShapeError(f"{where}({name}={size}): expected one of the free symbols ({known}), got {name!r}")
        if not hasattr(size, "__index__") or size < 0:
            raise ShapeError(f"{where}({name}={size}): expected an integer of at least 0, got {size!r}")
        result[name] = int(size)
    return result


def mapped(report: CostReport, function: Callable[[Dim], Dim]) -> CostReport:
    """Return `report` with `function` applied to every figure and dimension; the peak is looked for anew."""
    function = once_each(function)
    lifetimes = report.lifetimes and tuple(replace(life, size=function(life.size)) for life in report.lifetimes)
    return replace(
        report,
        by_node=tuple(node.map(function) for node in report.by_node),
        activations=function(report.activations),
        peak=function(report.peak) if lifetimes is None else peak(lifetimes),
        lifetimes=lifetimes,
        equal_sizes=tuple(pair.mapped(function) for pair in report.equal_sizes),
        kv_cache=None if report.kv_cache is None else function(report.kv_cache),
        batch=None if report.batch is None else function(report.batch),
    )
