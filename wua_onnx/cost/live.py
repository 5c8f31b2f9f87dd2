"""How many bytes of activations are alive while a model runs: the curve whose highest point is the peak."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from wua_onnx.cost.lifetimes import Lifetime

MOST_POINTS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveBytes:
    """Bytes alive at the moments of a run (see `Lifetime`).

    Attributes:
        moments: how many there are.
        at: the moments that are kept: all, or of each stretch of equal length the one at which most is alive.
        bytes: alive at each of them.
        made: at the peak (the first moment with the most bytes), the names of what is made then.
    """

    moments: int
    at: tuple[int, ...]
    bytes: tuple[int, ...]
    made: tuple[str, ...]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LiveBytes:
        """Return what `to_dict` wrote.

        Raises:
            KeyError, ValueError, TypeError: the data was not written by `to_dict`.
        """
        numbers = {key: tuple(int(value) for value in data[key]) for key in ("at", "bytes")}
        return cls(moments=int(data["moments"]), made=tuple(data["made"]), **numbers)

    def to_dict(self) -> dict[str, Any]:
        """Return the curve in JSON's own types."""
        return {"moments": self.moments, "at": list(self.at), "bytes": list(self.bytes), "made": list(self.made)}


def live_bytes(lifetimes: Sequence[Lifetime], points: int = MOST_POINTS) -> LiveBytes | None:
    """Return the curve of `lifetimes` in at most `points`; None for less than two moments and symbolic sizes."""
    changes: defaultdict[int, int] = defaultdict(int)
    for life in lifetimes:
        if not isinstance(life.size, int):
            return None
        changes[life.first] += life.size
        changes[life.last + 1] -= life.size
    if not changes:
        return None
    start, stop = min(life.first for life in lifetimes), max(life.last for life in lifetimes) + 1
    alive = list(accumulate(changes[moment] for moment in range(start, stop)))
    if len(alive) < 2:
        return None
    stretch = -(-len(alive) // points)
    kept = [
        max(range(first, min(first + stretch, len(alive))), key=alive.__getitem__)
        for first in range(0, len(alive), stretch)
    ]
    peak = start + alive.index(max(alive))
    return LiveBytes(
        moments=len(alive),
        at=tuple(kept),
        bytes=tuple(alive[index] for index in kept),
        made=tuple(life.name for life in lifetimes if life.first == peak),
    )


__all__ = ["MOST_POINTS", "LiveBytes", "live_bytes"]
