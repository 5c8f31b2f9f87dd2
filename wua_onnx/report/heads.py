"""The heads of attentions as rows: one for each attention, its strongest and weakest head beside the even share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wua_onnx._text import visible
from wua_onnx.report import numbers as n
from wua_onnx.report.rows import NOTHING

Json = Mapping[str, Any]

SHOWN = 48  # attentions in a table
_SHARES = 16  # heads whose shares are written out


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionRow:
    """One attention: shares are those of importance, in all its parts; `shares` is head by head, in percent."""

    name: str
    heads: str
    effective: str
    strongest: str
    weakest: str
    alike: str
    dead: str
    some_dead: bool
    shares: str


def attention_rows(attention: Sequence[Json]) -> tuple[AttentionRow, ...]:
    """Return the rows of `attention` of an audit; attentions of which no head could be told are left out."""
    return tuple(_row(block) for block in attention[:SHOWN] if any(_shares(block)))


def _shares(block: Json) -> list[float]:
    importance = block.get("head_importance") or ()
    return [n.ratio(value, block.get("sum")) or 0.0 for value in importance]


def _row(block: Json) -> AttentionRow:
    shares, dead = _shares(block), block.get("dead_heads")
    order = sorted(range(len(shares)), key=lambda head: -shares[head])
    more = " …" if len(shares) > _SHARES else ""
    return AttentionRow(
        name=visible(block["name"]),
        heads=n.count(block["heads"]),
        effective=n.decimal(block.get("effective"), 1),
        strongest=_head(order[0], shares),
        weakest=_head(order[-1], shares),
        alike=_alike(block),
        dead=n.NOT_KNOWN if dead is None else n.count(len(dead)),
        some_dead=bool(dead),
        shares=" ".join(f"{100 * share:.1f}" for share in shares[:_SHARES]) + more,
    )


def _head(head: int, shares: Sequence[float]) -> str:
    return f"head {head}, {n.percent(shares[head])}"


def _alike(block: Json) -> str:
    """Return the two heads that are most alike, with the cosine between them."""
    cosines, others = block.get("similarity") or (), block.get("most_similar") or ()
    known = [(cosine, head) for head, cosine in enumerate(cosines) if cosine is not None]
    if not known:
        return NOTHING
    cosine, head = max(known)
    pair = sorted((head, others[head]))
    return f"{pair[0]} and {pair[1]}: {n.decimal(cosine, 2)}"
