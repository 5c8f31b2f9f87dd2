"""Rules about the heads of attention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wua_onnx._text import share_text
from wua_onnx.findings.registry import Evidence, Finding, finding_rule

# The cosine between what two heads do; between heads with random weights it is near 0.
SAME = 0.95
# Of the importance that each head would have if all had the same.
IDLE = 0.1


@finding_rule("redundant-heads")
def redundant_heads(evidence: Evidence) -> Iterator[Finding]:
    """Heads that do the same as another one, or have less than a tenth of an equal share of the importance."""
    for block in evidence.attention:
        same, idle = _same(block), _idle(block)
        if not same and not idle:
            continue
        told = [f"heads {_listed(same)} do the same as another (cosine above {SAME:.2f})"] if same else []
        if idle:
            told.append(f"heads {_listed(idle)} have less than {share_text(IDLE)} of an equal share of the importance")
        yield Finding(
            rule="redundant-heads",
            severity="medium",
            where=block["name"],
            evidence=f"{'; '.join(told)}; {block['heads']} heads"
            + (f", {block['effective']:.1f} effective" if block["effective"] is not None else ""),
            action="remove these heads, fine-tune, and compare the quality",
        )


@finding_rule("dead-heads")
def dead_heads(evidence: Evidence) -> Iterator[Finding]:
    """Heads whose values are 0 on the data."""
    for block in evidence.attention:
        if block["dead_heads"]:
            yield Finding(
                rule="dead-heads",
                severity="high",
                where=block["name"],
                evidence=f"the values of heads {_listed(block['dead_heads'])} of {block['heads']} are 0 on the data",
                action="remove them: on this data the outputs stay the same; check with all data that matters",
                confidence="measured",
            )


@finding_rule("unmapped-attention")
def unmapped_attention(evidence: Evidence) -> Iterator[Finding]:
    """Attention of which it cannot be said which weights belong to which head."""
    for block in evidence.attention:
        missing = {
            name: next((part["reason"] for part in parts if part["reason"]), "")
            for name, parts in block["parts"].items()
            if not any(part["mapped"] for part in parts)
        }
        if missing:
            yield Finding(
                rule="unmapped-attention",
                severity="info",
                where=block["name"],
                evidence="; ".join(f"{name}: {reason}" for name, reason in missing.items()),
                action="nothing is wrong with the model: its heads are left out of the figures",
                confidence="exact",
            )


def _same(block: Mapping[str, Any]) -> list[int]:
    """Return the later head of each pair that does the same."""
    if block["similarity"] is None:
        return []
    pairs = zip(block["similarity"], block["most_similar"], strict=True)
    return [head for head, (cosine, other) in enumerate(pairs) if cosine > SAME and other < head]


def _idle(block: Mapping[str, Any]) -> list[int]:
    importance = block["head_importance"]
    if importance is None or not sum(importance) > 0:
        return []
    equal = sum(importance) / len(importance)
    return [head for head, own in enumerate(importance) if own < IDLE * equal]


def _listed(heads: list[int]) -> str:
    return ", ".join(map(str, heads[:12])) + (f" and {len(heads) - 12} more" if len(heads) > 12 else "")
