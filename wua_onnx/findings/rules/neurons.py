"""Rules about neurons, and rows of tables, that do nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wua_onnx.findings.registry import Evidence, Finding, finding_rule
from wua_onnx.layers.consumers import NOTHING_ELSE, Freed


@finding_rule("dead-neurons")
def dead_neurons(evidence: Evidence) -> Iterator[Finding]:
    """Neurons that do nothing on the data (or, without data, have no incoming weight).

    The saving counts their incoming weights, and what is known to go with them: their biases, and the weights of the
    layers that read them. What reads them in a way that is not followed is not counted, so that it saves at least that.
    """
    for layer in evidence.layers:
        dead, neurons = layer["dead_neurons"], layer["neurons"]
        if not dead or dead == neurons or layer["kind"] == "embedding":
            continue
        measured = layer["mean_activation"] is not None
        incoming, freed = layer["weights"] * dead // neurons, evidence.freed.get(layer["name"], NOTHING_ELSE)
        yield Finding(
            rule="dead-neurons",
            severity="high" if dead * 4 >= neurons else "medium",
            where=layer["name"],
            evidence=f"{dead:,} of {neurons:,} neurons are "
            + ("never active on the data" if measured else "without any incoming weight"),
            action=f"remove them, and with them at least {_counted(incoming, dead, freed)}: "
            "on this data the outputs stay the same; check with data of every kind that matters",
            params=incoming + dead * (freed.parameters + sum(freed.weights.values())),
            flops=_work(evidence, layer, dead, freed),
            confidence="measured" if measured else "exact",
        )


def _counted(incoming: int, dead: int, freed: Freed) -> str:
    """Return what is counted, in words."""
    parts = [f"{incoming:,} incoming weights"]
    if freed.parameters:
        parts.append(f"{dead * freed.parameters:,} biases or scales")
    parts += [f"{dead * each:,} weights of {name}" for name, each in freed.weights.items()]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _work(evidence: Evidence, layer: Mapping[str, Any], dead: int, freed: Freed) -> int | None:
    """Return the operations of the products with the weights that go; None where they are not known."""
    reading = [other for other in evidence.layers if other["name"] in freed.weights]
    shares = [_share(each, dead, layer["neurons"]) for each in (layer, *reading)]
    known = [share for share in shares if share is not None]
    return sum(known) if len(known) == len(shares) else shares[0]


def _share(layer: Mapping[str, Any], part: int, whole: int) -> int | None:
    macs = layer["macs"]
    return 2 * macs * part // whole if isinstance(macs, int) else None


@finding_rule("unused-rows")
def unused_rows(evidence: Evidence) -> Iterator[Finding]:
    """Rows of a table that the data never looks up."""
    for layer in evidence.layers:
        dead, rows = layer["dead_neurons"], layer["neurons"]
        if layer["kind"] != "embedding" or not dead or layer["mean_activation"] is None:
            continue
        yield Finding(
            rule="unused-rows",
            severity="low",
            where=layer["name"],
            evidence=f"{dead:,} of {rows:,} rows are never looked up by this data",
            action="if the data holds every token that matters, a smaller vocabulary does; a few samples prove nothing",
            params=layer["weights"] * dead // rows,
        )
