"""The most bytes of activations alive at once, over free dimensions too (convention 14)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

from wua_onnx.cost.lifetimes import Lifetime
from wua_onnx.model.dims import Dim, divides, maximum, primitive, product_of, total

MAX_MOMENTS = 64
_Sum: TypeAlias = dict[Dim, int]  # how many times each part
_Changes = defaultdict[int, list[tuple[Dim, int]]]


def peak(lifetimes: Sequence[Lifetime]) -> Dim:
    """Return the most bytes alive at once: a number, or the largest of the sums that no other one covers.

    Where more than `MAX_MOMENTS` sums cover each other in part, some are joined and the result is an upper bound.
    """
    born, ended = _changes(lifetimes)
    alive: _Sum = defaultdict(int)
    moments: list[_Sum] = []
    for now in sorted({*born, *ended}):
        for part, times in born[now]:
            alive[part] += times
        if ended[now]:  # while nothing ends, the next sum covers this one
            _keep_largest(moments, {part: times for part, times in alive.items() if times})
        for part, times in ended[now]:
            alive[part] -= times
    sums = [total(part * times for part, times in moment.items()) for moment in moments]
    return maximum(*sums) if sums else 0


def alive_at_peak(lifetimes: Sequence[Lifetime]) -> tuple[Lifetime, ...]:
    """Return what is alive when most bytes are (the first time they are), the largest first; sizes are integers."""
    born, ended = _changes(lifetimes)
    alive = most = 0
    when = -1
    for now in sorted({*born, *ended}):
        alive += sum(times for _, times in born[now])
        if alive > most:
            most, when = alive, now
        alive -= sum(times for _, times in ended[now])
    living = [life for life in lifetimes if life.first <= when <= life.last]
    return tuple(sorted(living, key=lambda life: life.size if isinstance(life.size, int) else 0, reverse=True))


def _changes(lifetimes: Iterable[Lifetime]) -> tuple[_Changes, _Changes]:
    """Return what starts and what ends to live at each node."""
    born, ended = _Changes(list), _Changes(list)
    seen: dict[Dim, list[tuple[Dim, int]]] = {}
    for life in lifetimes:
        if life.size not in seen:
            seen[life.size] = _parts(life.size)
        born[life.first] += seen[life.size]
        ended[life.last] += seen[life.size]
    return born, ended


def _parts(size: Dim) -> list[tuple[Dim, int]]:
    """Return `size` as whole multiples of parts that are never below 0: its terms, or all of it in one."""
    if isinstance(size, int) or any(c < 0 or Fraction(c).denominator != 1 for c in size.terms.values()):
        return [primitive(size)]
    return [(product_of(monomial), int(c)) for monomial, c in size.terms.items()]


def _covers(a: _Sum, b: _Sum) -> bool:
    """Return whether `a` is at least `b` wherever every symbol is at least 1; False where that is not seen at once.

    Every part of `b` is set against as many of the same part in `a`, then against parts of `a` that are it times
    further symbols. (Where a symbol is 0 the lifetimes are gone through anew, see `CostReport.at`.)
    """
    left = dict(a)
    for part in sorted(b, key=_degree, reverse=True):
        wanted = b[part]
        for other in (part, *(q for q in left if q != part and _is_multiple(q, part))):
            charged = min(wanted, left.get(other, 0))
            left[other] = left.get(other, 0) - charged
            wanted -= charged
        if wanted > 0:
            return False
    return True


def _degree(dim: Dim) -> int:
    return 0 if isinstance(dim, int) else max(sum(power for _, power in monomial) for monomial in dim.terms)


@lru_cache(maxsize=4096)
def _is_multiple(dim: Dim, of: Dim) -> bool:
    """Return whether `dim` is `of` times a product of symbols."""
    quotient = divides(of, dim)
    if quotient is None or isinstance(quotient, int):
        return quotient is not None
    return len(quotient.terms) == 1 and all(isinstance(a, str) for monomial in quotient.terms for a, _ in monomial)


def _keep_largest(moments: list[_Sum], new: _Sum) -> None:
    """Add `new` and drop what can never be the largest."""
    if any(_covers(old, new) for old in moments):
        return
    moments[:] = [old for old in moments if not _covers(new, old)]
    if len(moments) < MAX_MOMENTS:
        moments.append(new)
    else:
        moments[-1] = {part: max(moments[-1].get(part, 0), new.get(part, 0)) for part in {**moments[-1], **new}}


__all__ = ["alive_at_peak", "peak"]
