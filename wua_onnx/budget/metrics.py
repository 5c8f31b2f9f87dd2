"""The figures that can have a budget: one small function each, from the JSON of an audit.

A function for the name `flops` gives the budget `max_flops` (`--max-flops`), with `side="min"` it would be
`min_flops`. Units are those of `amounts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wua_onnx._text import share_text, visible
from wua_onnx.budget.registry import Figure, Json, metric
from wua_onnx.report import numbers as n


@metric("flops", "FLOPs", "count")
def _flops(audit: Json) -> Figure:
    return _counted(audit, "flops")


@metric("macs", "MACs", "count")
def _macs(audit: Json) -> Figure:
    return _counted(audit, "macs")


@metric("int_ops", "integer operations", "count")
def _int_ops(audit: Json) -> Figure:
    return _counted(audit, "int_ops")


@metric("params", "parameters", "count")
def _params(audit: Json) -> Figure:
    return Figure(value=audit["cost"]["params"], where=_largest(audit["cost"]["by_operator"], "op", "params"))


@metric("weight_bytes", "weight size", "bytes")
def _weight_bytes(audit: Json) -> Figure:
    """Bytes of the parameters, each counted once."""
    return Figure(value=audit["cost"]["weight_bytes"])


@metric("file_bytes", "file size", "bytes")
def _file_bytes(audit: Json) -> Figure:
    """Bytes of the model's file, without external data."""
    return Figure(value=audit["model"].get("file_bytes"))


@metric("peak_memory", "peak activation memory", "bytes")
def _peak_memory(audit: Json) -> Figure:
    """The most bytes of activations alive at once (convention 14); weights are not in it."""
    where = _largest(audit["cost"].get("alive_at_peak") or (), "name", "bytes")
    return Figure(value=audit["cost"]["peak_activation_bytes"], bound=_sized(audit), where=where)


@metric("total_memory", "weights and peak activations", "bytes", compared=False)
def _total_memory(audit: Json) -> Figure:
    """Bytes of the weights plus the most bytes of activations alive at once."""
    cost = audit["cost"]
    return Figure(value=_sum(cost["weight_bytes"], cost["peak_activation_bytes"]), bound=_sized(audit))


@metric("activation_bytes", "activations, all", "bytes")
def _activation_bytes(audit: Json) -> Figure:
    return Figure(value=audit["cost"]["activation_bytes"], bound=_sized(audit))


@metric("bytes_moved", "bytes moved", "bytes")
def _bytes_moved(audit: Json) -> Figure:
    """Bytes read and written by all nodes, weights included, nothing kept in caches."""
    where = _largest(audit["cost"]["by_operator"], "op", "bytes")
    return Figure(value=audit["cost"]["bytes_moved"], bound=_sized(audit), where=where)


@metric("kv_cache_per_token", "key-value cache per token", "bytes", compared=False)
def _kv_cache(audit: Json) -> Figure:
    """Bytes that one token of one sequence takes in all key-value caches; 0 where the model keeps none."""
    value = audit["cost"].get("kv_cache_bytes_per_token")
    return Figure(value=0 if value is None else value)


@metric("nodes", "nodes", "count", compared=False)
def _nodes(audit: Json) -> Figure:
    return Figure(value=audit["model"].get("nodes"))


@metric("unsupported", "nodes that are not counted", "count", compared=False)
def _unsupported(audit: Json) -> Figure:
    """Nodes whose operator has no rule; 0 asks for totals that leave no work out."""
    found = audit["cost"]["unsupported"]
    return Figure(value=sum(n.number(count) or 0 for count in found.values()), where=", ".join(map(visible, found)))


@metric("intensity", "operations per byte", "rate", side="min", compared=False)
def _intensity(audit: Json) -> Figure:
    return Figure(value=audit["cost"]["intensity"], bound=audit["cost"]["bound"])


@metric("redundancy", "average redundancy", "share", needs="layers")
def _redundancy(audit: Json) -> Figure:
    """The mean of the layers' redundancies, by the first criterion."""
    return Figure(value=audit["totals"]["average_redundancy"], where=_most_redundant(audit)[0])


@metric("layer_redundancy", "redundancy of the worst layer", "share", needs="layers", compared=False)
def _layer_redundancy(audit: Json) -> Figure:
    where, value = _most_redundant(audit)
    return Figure(value=value, where=where)


@metric("utilization", "utilization", "share", side="min", needs="layers", compared=False)
def _utilization(audit: Json) -> Figure:
    """Effective weights over weights, by the first criterion."""
    return Figure(value=audit["totals"]["utilization"])


@metric("dead_neurons", "dead neurons", "count", needs="layers")
def _dead_neurons(audit: Json) -> Figure:
    """Neurons that never fire on the data; without data, those whose incoming weights are all 0."""
    known = [layer for layer in audit["layers"] if layer["dead_neurons"] is not None]
    value = sum(layer["dead_neurons"] for layer in known) if known else None
    bound = "exact" if len(known) == len(audit["layers"]) else "lower"
    return Figure(value=value, bound=bound, where=_largest(known, "name", "dead_neurons"))


@metric("findings", "findings", "count", needs="layers", compared=False)
def _findings(audit: Json) -> Figure:
    """Findings of every severity but info."""
    return _found([finding for finding in audit["findings"] if finding["severity"] != "info"])


@metric("high_findings", "findings of high severity", "count", needs="layers", compared=False)
def _high_findings(audit: Json) -> Figure:
    return _found([finding for finding in audit["findings"] if finding["severity"] == "high"])


@metric("accuracy", "accuracy", "share", side="min", needs="labels")
def _accuracy(audit: Json) -> Figure:
    """The share of samples whose largest output is that of the label."""
    return Figure(value=(audit["recording"] or {}).get("accuracy"), bound="measured")


@metric("latency", "latency of a run", "seconds", needs="profile")
def _latency(audit: Json) -> Figure:
    """The median time of a run in onnxruntime on this machine; it depends on what else the machine does."""
    profile = audit.get("profile") or {}
    return Figure(
        value=profile.get("latency"),
        bound="measured",
        where=_largest(profile.get("by_operator") or (), "op", "seconds"),
    )


def _counted(audit: Json, name: str) -> Figure:
    cost = audit["cost"]
    return Figure(value=cost[name], bound=cost["bound"], where=_largest(cost["by_operator"], "op", name))


def _sized(audit: Json) -> str:
    """Return how bytes relate to the truth: unknown sizes are left out, the dearer branch may not be taken."""
    above = any(node.get("upper") for node in audit["cost"]["by_node"])
    below = bool(audit["cost"].get("unsized"))
    return "mixed" if above and below else "upper" if above else "lower" if below else "exact"


def _sum(first: n.Number, second: n.Number) -> n.Number:
    """Return the sum of two integers or symbolic figures; None where one is unknown."""
    from wua_onnx.model.dim_json import from_json, to_json

    dims = from_json(first), from_json(second)
    total: n.Number = None if dims[0] is None or dims[1] is None else to_json(dims[0] + dims[1])
    return total


def _largest(rows: Sequence[Json], name: str, key: str) -> str:
    """Return which row holds most of a figure, and how much of it; empty where that cannot be said."""
    values = [n.number(row.get(key)) for row in rows]
    known: list[Any] = [value for value in values if value is not None]
    if not known or len(known) < len(values) or sum(known) <= 0:
        return ""
    index = known.index(max(known))
    return f"{visible(rows[index][name], 60)} {share_text(known[index] / sum(known))}"


def _most_redundant(audit: Json) -> tuple[str, float | None]:
    """Return the layer of the highest redundancy by the first criterion, with it."""
    criterion = next(iter(audit["settings"]["criterion"]), "")
    scored = [layer for layer in audit["layers"] if criterion in layer["criteria"]]
    known = [(layer["criteria"][criterion]["metrics"]["redundancy"], layer["name"]) for layer in scored]
    known = [pair for pair in known if pair[0] is not None]
    if not known:
        return "", None
    value, name = max(known, key=lambda pair: pair[0])
    return f"{visible(name, 60)} {value:.2f}", value


def _found(findings: Sequence[Json]) -> Figure:
    where = f"{visible(findings[0]['rule'], 60)} in {visible(findings[0]['where'], 60)}" if findings else ""
    return Figure(value=len(findings), where=where)
