"""How many bytes of activations are alive while a model runs: the curve whose highest point is the peak."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from wua_onnx.cost.lifetimes import Lifetime
from wua_onnx.cost.peaks import alive_at_peak
from wua_onnx.model.dim_json import to_json
from wua_onnx.model.dims import substitute

MOST_POINTS = 400
MOST_NAMES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveBytes:
    """Bytes alive at the moments of a run (see `Lifetime`).

    Attributes:
        moments: how many there are.
        at: the moments that are kept: all, or of each stretch of equal length the one at which most is alive.
        bytes: alive at each of them.
        made: at the peak (the first moment with the most bytes), the names of what is made then.
        alive: the names and the bytes of the largest activations that are alive then.
        dims: what was bound for the curve: the batch to 1, where it is the only free dimension.
    """

    moments: int
    at: tuple[int, ...]
    bytes: tuple[int, ...]
    made: tuple[str, ...]
    alive: tuple[tuple[str, int], ...]
    dims: Mapping[str, int]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LiveBytes:
        """Return what `to_dict` wrote.

        Raises:
            KeyError, ValueError, TypeError: the data was not written by `to_dict`.
        """
        numbers = {key: tuple(int(value) for value in data[key]) for key in ("at", "bytes")}
        return cls(
            moments=int(data["moments"]),
            made=tuple(data["made"]),
            alive=tuple((part["name"], int(part["bytes"])) for part in data["alive"]),
            dims=dict(data["dims"]),
            **numbers,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the curve in JSON's own types."""
        return {
            "moments": self.moments,
            "at": list(self.at),
            "bytes": [to_json(size) for size in self.bytes],
            "made": list(self.made),
            "alive": [{"name": name, "bytes": to_json(size)} for name, size in self.alive],
            "dims": dict(self.dims),
        }


def live_bytes(
    lifetimes: Sequence[Lifetime], dims: Mapping[str, int] | None = None, points: int = MOST_POINTS
) -> LiveBytes | None:
    """Return the curve in at most `points`, dimensions bound to `dims`; None for under two moments and free ones."""
    bound = [(life, substitute(life.size, dims or {})) for life in lifetimes]
    sized = [replace(life, size=size) for life, size in bound]
    changes: defaultdict[int, int] = defaultdict(int)
    for life, size in bound:
        if not isinstance(size, int):
            return None
        changes[life.first] += size
        changes[life.last + 1] -= size
    start, stop = min(changes, default=0), max(changes, default=0)
    if stop - start < 2:
        return None
    alive = list(accumulate(changes[moment] for moment in range(start, stop)))
    peak = start + alive.index(max(alive))
    kept = _highest(alive, -(-len(alive) // points))
    names = [(life.name, life.size) for life in alive_at_peak(sized)[:MOST_NAMES]]
    return LiveBytes(
        moments=len(alive),
        at=kept,
        bytes=tuple(alive[index] for index in kept),
        made=tuple(life.name for life in lifetimes if life.first == peak),
        alive=tuple((name, size) for name, size in names if isinstance(size, int)),
        dims=dict(dims or {}),
    )


def _highest(values: Sequence[int], stretch: int) -> tuple[int, ...]:
    """Return where the highest value of each stretch stands."""
    starts = range(0, len(values), stretch)
    return tuple(max(range(a, min(a + stretch, len(values))), key=values.__getitem__) for a in starts)


__all__ = ["MOST_NAMES", "MOST_POINTS", "LiveBytes", "live_bytes"]
