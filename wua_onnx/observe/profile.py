"""Measured times beside counted work: the result of a profile.

Times are wall-clock measurements of one machine at one moment, medians over runs to the microsecond; the work is the
exact count of the same shapes. Rates join the two, and nothing measured flows back into the count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from wua_onnx.model.dim_json import to_json
from wua_onnx.observe.work import OperatorTime, Timed, Work, operator_time, timed_from
from wua_onnx.running.peak import Peak


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
        found = [operator_time(op, timed, self.peak) for op, timed in parts.items()]
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
        own["timed"] = tuple(map(timed_from, data["timed"]))
        own["unattributed"] = tuple(Unattributed(**part) for part in data["unattributed"])
        own["absent"] = tuple(Absent(**part) for part in data["absent"])
        return cls(**own)
