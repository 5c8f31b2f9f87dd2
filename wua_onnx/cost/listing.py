"""Everything that is counted, for the page of the docs: the rules, and the operators counted through graphs."""

from __future__ import annotations

from wua_onnx.cost import searches
from wua_onnx.cost.registry import Rule, all_rules
from wua_onnx.cost.value import Verdict

_SEARCH = "macs, flops = those of the graphs that read the prompt + trips × those of the decoder, trips a symbol"
_ATTENTION = "macs = scores × (head size of K + of V), with score_mod and prob_mod on every score, through its function"
# Operators without a rule of their own: (domain, operator, first version, verdict, formula).
_THROUGH_GRAPHS = (
    ("", "If", 1, Verdict.COUNTED, "the branch taken where the condition is constant; else the dearer, an upper bound"),
    ("", "Loop", 1, Verdict.COUNTED, "trips × the body; trips from constants or shapes, else the symbol trips(node)"),
    ("", "Scan", 8, Verdict.COUNTED, "length of the scanned axis × the body"),
    ("", "SequenceMap", 17, Verdict.COUNTED, "trips × the body, trips the symbol trips(node)"),
    ("ai.onnx.preview", "FlexAttention", 1, Verdict.COUNTED, _ATTENTION),
    *((searches.DOMAIN, op, 1, Verdict.ESTIMATE, _SEARCH) for op in sorted(searches.SEARCHES)),
)


def listed() -> list[Rule]:
    """Return every rule, and a line for each operator counted through graphs, by domain, name and version."""
    through = [
        Rule(op=op, domain=domain, since=since, count=None, verdict=verdict, reason=formula)
        for domain, op, since, verdict, formula in _THROUGH_GRAPHS
    ]
    return sorted([*all_rules(), *through], key=lambda rule: (rule.domain, rule.op, rule.since))


__all__ = ["listed"]
