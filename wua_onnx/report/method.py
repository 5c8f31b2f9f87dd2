"""The method section: what the numbers mean, and everything that was assumed, left out or not understood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wua_onnx import importance
from wua_onnx._text import visible
from wua_onnx.report import numbers as n
from wua_onnx.report.reproduce import reproduced

Json = Mapping[str, Any]

CONVENTIONS = (
    "MACs are the multiply–accumulates of contractions: matrix products, convolutions, recurrent gates, attention.",
    "FLOPs are 2 per floating-point MAC plus every other floating-point operation, one each.",
    "A bias is one add per output element; alpha and beta of Gemm count only when they are not 1.",
    "Composite operators (Softmax, LayerNormalization, Gelu …) are counted by the primitives of their definition.",
    "Data movement, shape arithmetic and casts are 0 FLOPs; their bytes are counted.",
    "What depends on constants only is computed once at load: 0 per run, listed apart.",
    "Integer arithmetic is counted as integer operations, never as FLOPs.",
    "Padded positions count as computed, as in published tables; a transposed convolution uses its input size.",
    "If counts the dearer branch; Loop and Scan count trips times the body; an unknown trip count is a symbol.",
    "Attention counts the full square over past and present keys; a causal mask does not halve it.",
    "Every operator is counted, estimated, free for a stated reason, or unknown; unknown work makes a lower bound.",
    "Free dimensions stay symbolic; data binds all but the batch, which becomes 1, so figures are per sample.",
    "Training is forward plus the backward of each operator, times samples and epochs.",
    "Peak activation memory: file order, a value lives from producer to last use, views share storage.",
)

METRICS = (
    ("Entropy", "H = −Σ p ln p over the weights of a layer, with p = I / ΣI."),
    ("Effective weights", "exp(H): the number of equally important weights that would spread as far."),
    ("Utilization", "effective weights / weights. Above 0.7 efficient, below 0.3 redundant."),
    ("Redundancy", "1 − H / ln N. Above 0.7 severe."),
    ("Gini", "inequality of importance, 0 for all equal. Below 0.4 uniform, above 0.6 concentrated."),
    ("Coverage 90 %", "the smallest share of the weights that holds 90 % of the importance."),
    ("Dead neuron", "0 for every sample; without data, one whose incoming weights are all 0."),
    ("Untrained", "the same metric of random weights of that shape (Gaussian: utilization 0.753, gini 0.414)."),
)

_REASONS = 3  # named beside the share of parameters that belong to a layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One labelled value."""

    label: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """A parameter that belongs to no analysed layer, and why."""

    name: str
    elements: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodView:
    """All that the method section shows."""

    conventions: tuple[str, ...]
    metrics: tuple[Fact, ...]
    settings: tuple[Fact, ...]
    conversion: tuple[Fact, ...]
    warnings: tuple[str, ...]
    command: str
    digest: str
    verdicts: str
    recording: str
    unsupported: tuple[Fact, ...]
    coverage: str
    declined: tuple[Declined, ...]
    versions: tuple[Fact, ...]
    checker: str | None
    constant: tuple[str, ...]
    unused: tuple[str, ...]


def method_of(audit: Json) -> MethodView:
    """Return the method section of an audit."""
    cost, coverage = audit["cost"], audit["coverage"]
    tool, checker = audit["tool"], audit["model"].get("checker")
    share = n.ratio(coverage["analysed"], coverage["parameters"])
    declined = sorted(coverage["declined"], key=lambda d: -(n.number(d["elements"]) or 0))
    return MethodView(
        conventions=CONVENTIONS,
        metrics=_facts([*_criteria(audit["settings"]["criterion"]), *METRICS]),
        settings=_settings(audit),
        conversion=_conversion(audit["model"]),
        warnings=tuple(visible(warning, 600) for warning in audit["model"].get("warnings") or ()),
        command=reproduced(audit),
        digest=visible(audit["model"].get("sha256") or ""),
        verdicts=_verdicts(cost),
        recording=recording_of(audit["recording"]),
        unsupported=_facts((op, n.plural(int(n.number(k) or 0), "node")) for op, k in cost["unsupported"].items()),
        coverage=f"{n.count(coverage['analysed'])} of {n.count(coverage['parameters'])} parameters "
        f"({n.percent(share)}) belong to an analysed layer{_rest(coverage)}",
        declined=tuple(
            Declined(name=visible(d["name"]), elements=n.count(d["elements"]), reason=visible(d["reason"]))
            for d in declined
        ),
        versions=_facts([(tool["name"], tool["version"]), *tool["versions"].items()]),
        checker=visible(checker, 1000) if checker else None,
        constant=constant_nodes(cost),
        unused=unused_nodes(cost),
    )


def _rest(coverage: Json) -> str:
    """Return what the parameters outside of layers are: the reasons that hold for the most of them, and how many."""
    elements: Counter[str] = Counter()
    for item in coverage["declined"]:
        elements[item["reason"]] += int(n.number(item["elements"]) or 0)
    named = elements.most_common(_REASONS)
    parts = [f"{n.count(count)} ({visible(reason)})" for reason, count in named]
    left = elements.total() - sum(count for _, count in named)
    if left:
        parts.append(f"{n.count(left)} (other reasons, listed in the page)")
    return f"; outside: {', '.join(parts)}" if parts else ""


def constant_nodes(cost: Json) -> tuple[str, ...]:
    """Return the names of the nodes that are computed once at load."""
    return _set_apart(cost, "constant", "depends on constants only")


def unused_nodes(cost: Json) -> tuple[str, ...]:
    """Return the names of the nodes that reach no output."""
    return _set_apart(cost, "unused", "reaches no output")


def _set_apart(cost: Json, key: str, reason: str) -> tuple[str, ...]:
    """Return the names listed under `key`, else those of the nodes that are free for that `reason`."""
    listed = cost.get(key)
    if listed is None:
        listed = [row["name"] for row in cost["by_node"] if (row["reason"] or "").startswith(reason)]
    return tuple(map(visible, listed))


def recording_of(recording: Json | None) -> str:
    """Return one sentence on what was run to measure the neurons."""
    if recording is None:
        return "Nothing was run: this audit reads the file alone."
    if recording.get("error"):
        return f"The model could not be recorded: {visible(recording['error'], 400).rstrip('.')}."
    samples, batches = n.plural(recording["samples"], "sample"), n.plural(recording["batches"], "batch", "batches")
    device, took = visible(recording["device"]), n.seconds(recording["seconds"])
    return f"Neurons were measured over {samples} in {batches} on {device}, in {took}."


def _settings(audit: Json) -> tuple[Fact, ...]:
    settings, symbols, recording = audit["settings"], audit["cost"]["symbols"], audit["recording"] or {}
    bound = ", ".join(f"{visible(name)} = {_dim(value)}" for name, value in (settings["dims"] or {}).items())
    pairs = [
        ("criterion", ", ".join(settings["criterion"])),
        ("activation read", f"{settings['activation']} activation function"),
        ("device", settings["device"]),
        ("data", "given" if settings["data"] else "none"),
        ("recording", "given" if settings.get("recording") else "made here" if recording.get("samples") else "none"),
        ("statistics", ", ".join(["mean |a|", *settings.get("statistics", ())]) if recording.get("samples") else ""),
        ("mask of padding", recording.get("mask") or ("none" if recording.get("samples") else "")),
        ("samples in a batch", n.count(recording["batch_size"]) if recording.get("batch_size") else ""),
        ("scales of normalisations", _normalization(settings)),
        ("memory for layers and runs", n.size(settings["memory"]) if settings.get("memory") else ""),
        ("dimensions bound", bound or "none"),
        ("dimensions free", ", ".join(map(visible, symbols)) or "none"),
    ]
    return _facts((label, value) for label, value in pairs if value)


def _criteria(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield what importance is by each criterion that is known here."""
    for name in names:
        if name in importance.criterion_names():
            yield f"Importance by {name}", f"I = {importance.get(name).summary}"


def _conversion(model: Json) -> tuple[Fact, ...]:
    """Return where a converted model came from; nothing for an ONNX model."""
    if not model.get("converted_from"):
        return ()
    difference = model.get("max_difference")
    compared = "not compared" if difference is None else f"{difference:.3g} at most"
    return _facts([("converted from", model["converted_from"]), ("outputs differ from the framework's by", compared)])


def _normalization(settings: Json) -> str:
    known = settings.get("normalization")
    return "" if known is None else "layers, too" if known else "no layers"


def _verdicts(cost: Json) -> str:
    """Return how many operators and nodes have each verdict."""
    parts = []
    for verdict in ("counted", "estimate", "free", "unknown"):
        rows = [row for row in cost["by_operator"] if row["verdict"] == verdict]
        if rows:
            nodes = sum(n.number(row["count"]) or 0 for row in rows)
            parts.append(f"{verdict}: {n.plural(len(rows), 'operator')}, {n.plural(int(nodes), 'node')}")
    return "; ".join(parts)


def _dim(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "(" + ", ".join(map(_dim, value)) + ")"
    return n.count(value) if n.number(value) is not None else visible(value)


def _facts(pairs: Iterable[tuple[str, Any]]) -> tuple[Fact, ...]:
    return tuple(Fact(label=visible(label), value=visible(value, 400)) for label, value in pairs)
