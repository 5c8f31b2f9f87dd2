"""Counted work and the time it took: rates, and the roofline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from wua_onnx.model.dim_json import from_json
from wua_onnx.running.peak import Peak

Bound: TypeAlias = Literal["compute", "memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Counted work and the time it took.

    Attributes:
        seconds: the time.
        flops, int_ops: operations counted; None where they are not known as a number.
        bytes: read and written; None likewise.
    """

    seconds: float
    flops: int | None
    int_ops: int | None
    bytes: int | None

    @property
    def gflops(self) -> float | None:
        """Floating-point operations done a second, in 10^9; None where count or time is not known."""
        return self.flops / self.seconds / 1e9 if self.flops is not None and self.seconds > 0 else None

    @property
    def gbps(self) -> float | None:
        """Bytes moved a second, in 10^9; None where count or time is not known."""
        return self.bytes / self.seconds / 1e9 if self.bytes is not None and self.seconds > 0 else None

    def shortest(self, peak: Peak) -> tuple[float, Bound] | None:
        """Return the seconds the work takes at the peak, and which of the two peaks sets them (the roofline).

        None where the count is not known, is nothing (a Reshape), or is mostly of integers, whose peak is not measured.

        Source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.
        """
        if self.flops is None or self.bytes is None or (self.int_ops or 0) > self.flops:
            return None
        if not self.flops and not self.bytes:
            return None
        compute, memory = self.flops / peak.gflops / 1e9, self.bytes / peak.gbps / 1e9
        return (compute, "compute") if compute > memory else (memory, "memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed(Work):
    """Nodes of the model that onnxruntime runs as one, and their time.

    Attributes:
        name, op: the node that does most of the work.
        nodes, ops: the nodes, and their operators, in file order.
        kernels: what onnxruntime ran for them, by its operators.
    """

    name: str
    op: str
    nodes: tuple[str, ...]
    ops: tuple[str, ...]
    kernels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTime(Work):
    """The time of an operator: of all kernels whose main node is of it.

    Attributes:
        op: the operator.
        groups: how many there are.
        fused: how many nodes of other operators run in the same kernels.
        shortest_seconds: what they would take at the peak, each at its own bound; None where that is not known.
        bound: what bounds most of that time.
    """

    op: str
    groups: int
    fused: int
    shortest_seconds: float | None
    bound: Bound | None


def timed_from(data: Mapping[str, Any]) -> Timed:
    """Return the nodes and their time that `Profile.to_dict` wrote."""
    own: dict[str, Any] = {name: data[name] for name in ("name", "op", "seconds")}
    own |= {name: tuple(data[name]) for name in ("nodes", "ops", "kernels")}
    own |= {name: from_json(data[name]) for name in ("flops", "int_ops", "bytes")}
    return Timed(**own)


def operator_time(op: str, parts: Sequence[Timed], peak: Peak) -> OperatorTime:
    """Return the sum of `parts`, whose main nodes are all of operator `op`."""
    shortest = [part.shortest(peak) for part in parts if part.flops != 0 or part.bytes != 0]
    known = [found for found in shortest if found is not None]
    bounds = {bound: math.fsum(s for s, b in known if b == bound) for bound in ("compute", "memory")}
    whole = 0 < len(known) == len(shortest)
    bound: Bound = "compute" if bounds["compute"] > bounds["memory"] else "memory"
    return OperatorTime(
        op=op,
        groups=len(parts),
        fused=sum(len(part.ops) - part.ops.count(op) for part in parts),
        seconds=math.fsum(part.seconds for part in parts),
        flops=_sum(part.flops for part in parts),
        int_ops=_sum(part.int_ops for part in parts),
        bytes=_sum(part.bytes for part in parts),
        shortest_seconds=math.fsum(seconds for seconds, _ in known) if whole else None,
        bound=bound if whole else None,
    )


def _sum(values: Iterable[int | None]) -> int | None:
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if len(known) == len(found) else None
