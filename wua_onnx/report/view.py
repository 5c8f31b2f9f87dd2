"""The whole report as frozen dataclasses: every number is text here, and no output computes anything any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wua_onnx._text import visible
from wua_onnx.errors import WuaError
from wua_onnx.report import numbers as n
from wua_onnx.report.charts_tree import of_a_sample, rows_of_a_sample
from wua_onnx.report.finding_rows import FindingRow, finding_rows
from wua_onnx.report.heads import AttentionRow, attention_rows
from wua_onnx.report.method import Fact, MethodView, constant_nodes, method_of, unused_nodes
from wua_onnx.report.rows import CostRow, LayerRow, cost_row, layer_row, modules_of, shape
from wua_onnx.report.training_view import TrainingView, training_view
from wua_onnx.report.verdict import Bound, Tile, Verdict, bound_of, tiles_of, verdict_of

Json = Mapping[str, Any]

SCHEMA_VERSION = 1
LISTED = 200  # names in a folded list of the page
MODULES = 400  # modules in a table; the JSON has all


@dataclass(frozen=True, slots=True, kw_only=True)
class CostView:
    """The cost section: exact totals, then operators and modules, the dearest first.

    `per` is what figures of operators and modules are of, where that is not all that the totals are of.
    """

    per: str
    totals: tuple[Fact, ...]
    operators: tuple[CostRow, ...]
    modules: tuple[CostRow, ...]
    module_count: int
    constant: int
    unused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A report."""

    name: str
    facts: tuple[Fact, ...]
    verdict: Verdict
    bound: Bound
    tiles: tuple[Tile, ...]
    recording: str
    findings: tuple[FindingRow, ...]
    passed: tuple[Fact, ...]
    criterion: str
    layers: tuple[LayerRow, ...]
    heads: tuple[AttentionRow, ...]
    cost: CostView
    training: TrainingView | None
    method: MethodView
    listed: int = LISTED
    most_modules: int = MODULES

    @property
    def status(self) -> str:
        """How the weights and the figures of the cost are to be read, in one line."""
        weights = "" if self.verdict.tone == "none" else "weights "
        return f"{weights}{self.verdict.reading} · cost {self.bound.label}: {self.bound.note}. {self.recording}"


def page(audit: Json) -> Page:
    """Return the report on the JSON of an audit.

    Raises:
        WuaError: the JSON is of another schema version, or is no audit.
    """
    check_version(audit)
    cost = audit["cost"]
    layers, macs = rows_of_a_sample(audit["layers"], cost), of_a_sample(cost["macs"], cost)
    method, modules = method_of(audit), modules_of(audit["cost"])
    return Page(
        name=visible(audit["model"]["name"]),
        facts=_facts(audit["model"]),
        verdict=verdict_of(audit),
        bound=bound_of(audit["cost"]),
        tiles=tiles_of(audit),
        recording=method.recording + _free(audit["cost"]),
        findings=finding_rows(audit["findings"], layers),
        passed=_passed(audit),
        criterion=visible(next(iter(audit["settings"]["criterion"]), "")),
        layers=tuple(layer_row(layer, index, macs, modules) for index, layer in enumerate(layers)),
        heads=attention_rows(audit.get("attention") or ()),
        cost=cost_view(audit["cost"]),
        training=training_view(audit),
        method=method,
    )


def _passed(audit: Json) -> tuple[Fact, ...]:
    """Return the rules that found nothing and what they looked for."""
    found = {finding["rule"] for finding in audit["findings"]}
    checks = (audit.get("checks") or {}).items()
    return tuple(Fact(label=visible(rule), value=visible(text, 200)) for rule, text in checks if rule not in found)


def check_version(audit: Json) -> None:
    """Raise WuaError unless `audit` is the JSON of an audit of the schema version that is read here."""
    version = audit.get("schema_version") if isinstance(audit, Mapping) else None
    if version != SCHEMA_VERSION:
        raise WuaError(f"audit: schema_version: expected {SCHEMA_VERSION}, got {visible(version, 40)}")


def cost_view(cost: Json) -> CostView:
    """Return the cost section from the `cost` part of an audit, or from a cost report on its own."""
    macs, free = of_a_sample(cost["macs"], cost), isinstance(cost.get("batch"), Mapping)
    operators = rows_of_a_sample(cost["by_operator"], cost)
    modules = rows_of_a_sample(cost["by_module"][:MODULES], cost)
    return CostView(
        per="of one sample" if free else "",
        totals=_totals(cost),
        operators=tuple(cost_row(row, row["op"], macs) for row in sorted(operators, key=_dearest)),
        modules=tuple(cost_row(row, row["path"] or "(whole model)", macs) for row in modules),
        module_count=len(cost["by_module"]),
        constant=len(constant_nodes(cost)),
        unused=len(unused_nodes(cost)),
    )


def _dearest(row: Json) -> tuple[bool, float, float]:
    """Sort key: unknown and symbolic work first, since no number shows that it is small; then by MACs and FLOPs."""
    macs, flops = (n.ratio(row[key], 1) for key in ("macs", "flops"))
    return (macs is not None, -(macs or 0.0), -(flops or 0.0))


def _totals(cost: Json) -> tuple[Fact, ...]:
    sign = bound_of(cost).sign
    bounded = [("MACs", "macs"), ("of them integer", "int_macs"), ("FLOPs", "flops"), ("integer operations", "int_ops")]
    kinds = [(f"FLOPs: {kind}", value) for kind, value in cost["kinds"].items()]
    memory = [
        ("parameters", n.count(cost["params"])),
        ("weights", _bytes(cost["weight_bytes"])),
        ("activations, all", _bytes(cost["activation_bytes"])),
        ("activations, peak", _bytes(cost["peak_activation_bytes"])),
        ("bytes moved", _bytes(cost["bytes_moved"])),
    ]
    counted = [(label, cost[key]) for label, key in bounded] + kinds
    return tuple(Fact(label=visible(label), value=_bounded(value, sign)) for label, value in counted) + tuple(
        Fact(label=label, value=value) for label, value in memory
    )


def _bounded(value: n.Number, sign: str) -> str:
    text = n.count(value)
    return text if text in (n.NOT_KNOWN, "0") else sign + text


def _bytes(value: n.Number) -> str:
    return n.size(value) if n.number(value) is None else f"{n.size(value)} ({n.count(value)} bytes)"


def _facts(model: Json) -> tuple[Fact, ...]:
    opsets = ", ".join(f"{visible(domain or 'ai.onnx')} {n.count(v)}" for domain, v in model["opsets"].items())
    sides = [(side, "; ".join(map(_value, model[f"{side}s"]))) for side in ("input", "output")]
    facts = [
        ("file", visible(model["file"]) if model.get("file") else "given as an object"),
        ("size", n.size(model.get("file_bytes"))),
        ("nodes", n.count(model["nodes"])),
        ("opset", opsets),
        ("producer", visible((model.get("producer") or n.NOT_KNOWN).removesuffix(" None"))),
        *sides,
    ]
    return tuple(Fact(label=label, value=value) for label, value in facts)


def _value(value: Json) -> str:
    dims = shape(value["shape"]) if value.get("shape") is not None else "shape not known"
    return f"{visible(value['name'])}: {visible(value.get('dtype') or '').lower()} {dims}"


def _free(cost: Json) -> str:
    """Return what to do about free dimensions other than the batch, which keep figures from being numbers."""
    batch = cost.get("batch")
    own = batch.get("text") if isinstance(batch, Mapping) else None
    names = [visible(symbol, 30) for symbol in cost["symbols"] if symbol != own]
    shown = f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
    return f" {n.plural(len(names), 'dimension')} free ({shown}): bind with --dim NAME=SIZE." if names else ""
