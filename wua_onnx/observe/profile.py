"""Measured times beside counted work: the result of a profile.

Times are wall-clock measurements of one machine at one moment, medians over runs to the microsecond; the work is the
exact count of the same shapes. Rates join the two, and nothing measured flows back into the count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

from wua_onnx.model.dim_json import from_json, to_json
from wua_onnx.running.profiling import Peak

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

        None where the count is not known, or is mostly of integers, whose peak is not measured.

        Source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.
        """
        if self.flops is None or self.bytes is None or (self.int_ops or 0) > self.flops:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Unattributed:
    """A kernel that computes no node that can be named."""

    name: str
    op: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A node that no kernel computes."""

    name: str
    op: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Times of a model's nodes on this machine.

    Attributes:
        device, threads, version: how it was run; `version` is that of onnxruntime.
        machine: the processor.
        batch: samples in a run; None where the inputs have no batch.
        shapes: of the inputs, by name.
        data: "given" or "random".
        optimised: whether onnxruntime optimised the graph, as it does for its users.
        runs, warm_up: how many runs the medians are of, and how many came before.
        latency: seconds of a whole run, the median, without the profiler.
        profiled: seconds of a whole run with it, the work between kernels included.
        peak: what the machine was seen to reach.
        timed, unattributed, absent: where the time went and where the nodes went; every kernel and node is in one.
    """

    device: str
    threads: int
    version: str
    machine: str
    batch: int | None
    shapes: Mapping[str, Sequence[int]]
    data: Literal["given", "random"]
    optimised: bool
    runs: int
    warm_up: int
    latency: float
    profiled: float
    peak: Peak
    timed: tuple[Timed, ...]
    unattributed: tuple[Unattributed, ...] = ()
    absent: tuple[Absent, ...] = field(default=())

    @cached_property
    def total(self) -> float:
        """Seconds of all kernels."""
        return math.fsum([self.attributed, *(part.seconds for part in self.unattributed)])

    @cached_property
    def attributed(self) -> float:
        """Seconds of the kernels whose nodes are known."""
        return math.fsum(part.seconds for part in self.timed)

    def share(self, seconds: float) -> float | None:
        """Return `seconds` as a share of the time of all kernels; None where there is no time."""
        return seconds / self.total if self.total > 0 else None

    def attainable(self, work: Work) -> float | None:
        """Return the rate of `work` as a share of what the roofline allows; above 1 where caches serve it."""
        if isinstance(work, OperatorTime):
            shortest = work.shortest_seconds
        else:
            found = work.shortest(self.peak)
            shortest = found[0] if found else None
        return shortest / work.seconds if shortest is not None and work.seconds > 0 else None

    @cached_property
    def by_operator(self) -> tuple[OperatorTime, ...]:
        """The times by operator, longest first."""
        parts: dict[str, list[Timed]] = {}
        for part in self.timed:
            parts.setdefault(part.op, []).append(part)
        found = [_operator(op, timed, self.peak) for op, timed in parts.items()]
        return tuple(sorted(found, key=lambda part: part.seconds, reverse=True))

    def to_dict(self) -> dict[str, Any]:
        """Return the profile in JSON's own types, rates and shares beside what they are computed from."""
        plain = {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("timed", "peak", "shapes")
        }
        return {
            **plain,
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "peak": asdict(self.peak),
            "total": self.total,
            "attributed": self.attributed,
            "timed": [self._json(part) for part in self.timed],
            "by_operator": [self._json(part) for part in self.by_operator],
            "unattributed": [asdict(part) for part in self.unattributed],
            "absent": [asdict(part) for part in self.absent],
        }

    def _json(self, part: Timed | OperatorTime) -> dict[str, Any]:
        found = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(part).items()}
        found |= {key: to_json(getattr(part, key)) for key in ("flops", "int_ops", "bytes")}
        found |= {"gflops": part.gflops, "gbps": part.gbps, "share": self.share(part.seconds)}
        if isinstance(part, Timed):
            shortest = part.shortest(self.peak)
            found["bound"] = shortest[1] if shortest else None
        return {**found, "attainable": self.attainable(part)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Profile:
        """Return the profile that `to_dict` wrote.

        Raises:
            KeyError, TypeError, ValueError: the data was not written by `to_dict`.
        """
        own = {name: data[name] for name in cls.__dataclass_fields__}
        own["shapes"] = {name: tuple(shape) for name, shape in data["shapes"].items()}
        own["peak"] = Peak(**data["peak"])
        own["timed"] = tuple(map(_timed_from, data["timed"]))
        own["unattributed"] = tuple(Unattributed(**part) for part in data["unattributed"])
        own["absent"] = tuple(Absent(**part) for part in data["absent"])
        return cls(**own)


def _timed_from(data: Mapping[str, Any]) -> Timed:
    own: dict[str, Any] = {name: data[name] for name in ("name", "op", "seconds")}
    own |= {name: tuple(data[name]) for name in ("nodes", "ops", "kernels")}
    own |= {name: from_json(data[name]) for name in ("flops", "int_ops", "bytes")}
    return Timed(**own)


def _operator(op: str, parts: Sequence[Timed], peak: Peak) -> OperatorTime:
    shortest = [part.shortest(peak) for part in parts]
    known = [found for found in shortest if found is not None]
    bounds = {bound: math.fsum(s for s, b in known if b == bound) for bound in ("compute", "memory")}
    whole = len(known) == len(parts)
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


def _sum(values: Any) -> int | None:
    found = list(values)
    return None if None in found else sum(found)
