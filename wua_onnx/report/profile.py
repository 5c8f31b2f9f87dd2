"""The JSON of a profile as tables in the terminal: measured times, labelled with how they were measured."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from rich.console import Console, Group
from rich.text import Text

from wua_onnx._text import shortened, visible
from wua_onnx.report import numbers as n
from wua_onnx.report.columns import Cell, Column
from wua_onnx.report.rows import NOTHING
from wua_onnx.report.terminal import section, table

Json: TypeAlias = Mapping[str, Any]

_NAMES = 5  # of nodes that are listed with a reason
_NAME = 48  # characters
_MOST_NODES = 40
_BUSY = 1.5  # a run that takes this much longer than its kernels was disturbed, or its nodes are tiny

LEGEND = (
    "Times are wall-clock medians of this machine, to the microsecond; operations and bytes are the exact count of "
    "the same shapes (what passes between fused nodes is not moved). Bytes are counted as if nothing were kept "
    "in caches: where caches serve them, more than 100 % of the attainable rate is reached."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRow:
    """One line of a table of times; everything is text."""

    name: str
    detail: str
    time: str
    share: str
    gflops: str
    gbps: str
    bound: str
    attainable: str


def print_profile(
    profile: Json, console: Console | None = None, by: Literal["operator", "module", "node"] = "operator"
) -> None:
    """Print a profile: how it was measured, the times by operator or by node, and what could not be attributed.

    Args:
        profile: what `Profile.to_dict` gives, or `{"error": why there is none}`.
        console: where to print; standard output by default.
        by: what the lines of the table are; operators where it is neither nodes nor operators.
    """
    console = console or Console()
    if profile.get("error"):
        section(console, "Measured times", Text(f"not measured: {visible(profile['error'], 400)}"))
        return
    section(console, "Measured times", Text("\n".join(conditions(profile))))
    if by == "node":
        rows = [node_row(part) for part in longest(profile["timed"])]
        section(console, "Time by node", table(NODES, rows, console))
        if len(profile["timed"]) > len(rows):
            console.print(Text(f"… and {len(profile['timed']) - len(rows):,} shorter ones; all are in the JSON"))
    else:
        rows = [operator_row(part) for part in profile["by_operator"]]
        section(console, "Time by operator", table(OPERATORS, rows, console))
    section(console, "Coverage of the times", Group(*map(Text, [*coverage(profile), LEGEND])))


def conditions(profile: Json) -> list[str]:
    """Return how the times were measured, as sentences."""
    shapes = ", ".join(f"{visible(name)} {list(shape)}" for name, shape in profile["shapes"].items())
    batch = f"batch {profile['batch']}, " if profile["batch"] is not None else ""
    graph = "graph optimised by onnxruntime" if profile["optimised"] else "graph as written, optimisations off"
    runs = f"median of {n.plural(profile['runs'], 'run')} after {profile['warm_up']} to warm up"
    peak = profile["peak"]
    lines = [
        f"{time(profile['latency'])} a run; {time(profile['total'])} in its kernels under the profiler ({runs})",
        f"{batch}{visible(profile['data'])} inputs: {shapes or 'none'}",
        f"{n.plural(profile['threads'], 'thread')} on {visible(profile['device'])} ({visible(profile['machine'])}), "
        f"onnxruntime {visible(profile['version'])}, {graph}",
        f"Peak measured here: {rate(peak['gflops'])} GFLOP/s (float32 product of {peak['gemm']:,} rows and columns), "
        f"{rate(peak['gbps'])} GB/s (a pass over {n.size(peak['copied'])})",
    ]
    if profile["total"] > 0 and profile["latency"] > _BUSY * profile["total"]:
        lines.append(
            f"A run takes {profile['latency'] / profile['total']:.1f} times as long as its kernels: the machine was "
            "busy with something else, or the work lies between very small nodes"
        )
    return lines


def coverage(profile: Json) -> list[str]:
    """Return what the times do not say: kernels without a node, and nodes without a kernel."""
    share = n.percent(n.ratio(profile["attributed"], profile["total"]))
    lines = [f"{share} of the time of all kernels belongs to nodes of the model."]
    kernels: dict[tuple[str, str], list[float]] = defaultdict(list)
    for part in profile["unattributed"]:
        kernels[part["op"], part["reason"]].append(part["seconds"])
    for (op, reason), seconds in kernels.items():
        spent = f"{time(sum(seconds))}, {n.percent(n.ratio(sum(seconds), profile['total']))}"
        lines.append(f"{len(seconds):,} × {visible(op)} ({spent}): {visible(reason)}")
    reasons: dict[str, list[str]] = defaultdict(list)
    for part in profile["absent"]:
        reasons[part["reason"]].append(part["name"])
    for reason, names in reasons.items():
        listed = ", ".join(shortened(name, _NAME) for name in names[:_NAMES])
        more = f" and {len(names) - _NAMES:,} more" if len(names) > _NAMES else ""
        lines.append(f"No time for {n.plural(len(names), 'node')}, {visible(reason)}: {listed}{more}")
    return lines


def operator_row(part: Json) -> TimeRow:
    """Return the row of one entry of `by_operator`."""
    fused = f" + {part['fused']:,} fused" if part["fused"] else ""
    return _row(part, visible(part["op"]), f"{part['groups']:,}{fused}")


def node_row(part: Json) -> TimeRow:
    """Return the row of one entry of `timed`."""
    counts: Counter[str] = Counter(part["ops"])
    ops = " + ".join(f"{op} ×{times}" if times > 1 else op for op, times in counts.items())
    return _row(part, shortened(part["name"], _NAME), shortened(ops, _NAME))


def _row(part: Json, name: str, detail: str) -> TimeRow:
    return TimeRow(
        name=name,
        detail=detail,
        time=time(part["seconds"]),
        share=NOTHING if part["share"] is None else n.percent(part["share"]),
        gflops=rate(part["gflops"]),
        gbps=rate(part["gbps"]),
        bound=visible(part["bound"] or NOTHING),
        attainable=NOTHING if part["attainable"] is None else f"{100 * part['attainable']:,.0f} %",
    )


def time(seconds: float) -> str:
    """Return a time as it is measured, microseconds upwards."""
    if seconds < 1e-3:
        return f"{1e6 * seconds:.0f} µs"
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def rate(value: float | None) -> str:
    """Return a rate with three significant digits."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def longest(timed: Sequence[Json]) -> list[Json]:
    """Return the entries of `timed` that are listed one by one, the longest first."""
    return sorted(timed, key=lambda part: -float(part["seconds"]))[:_MOST_NODES]


def _text(title: str, name: str, *, right: bool = True, narrow: bool = True) -> Column:
    return Column(title=title, cell=lambda row: Cell(text=getattr(row, name)), right=right, narrow=narrow)


_RATES = (
    _text("time", "time"),
    _text("share", "share"),
    _text("GFLOP/s", "gflops"),
    _text("GB/s", "gbps"),
    _text("bound", "bound", right=False, narrow=False),
    _text("of attainable", "attainable"),
)
OPERATORS = (_text("operator", "name", right=False), _text("kernels", "detail", right=False), *_RATES)
NODES = (_text("node", "name", right=False), _text("operators", "detail", right=False, narrow=False), *_RATES)
