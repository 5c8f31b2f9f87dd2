"""Attention written out: softmax(queries · keys) · values, as MatMul, Gemm or Einsum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.layers.columns import NONE, Columns
from wua_onnx.layers.head_maps import AttentionBlock, Projections, columns_by_head, labels_of, output_map, unmapped
from wua_onnx.layers.moves import Unmoved
from wua_onnx.layers.products import PRODUCTS, Product, product_of
from wua_onnx.layers.pushing import pushed
from wua_onnx.layers.weightings import OF_ONE_SCORE, Weighting, scored
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]
# Between the scores and what the values are weighted with.
_WITHIN = OF_ONE_SCORE | {"BiasSoftmax", "Div", "Exp", "Softmax", "Sub"}


@dataclass(slots=True)
class _Scores:
    """A product of queries and keys: which columns are in each row, one row for each place along its batch axes."""

    product: Product
    rows: Mapping[int, Array]  # by the number of the input
    reasons: Mapping[int, str]
    query: int
    labels: Array  # the number of the row, in the shape of the product


def _scores(node: NodeView, axis: int, columns: Columns) -> _Scores:
    operands: dict[int, Array] = {}
    reasons: dict[int, str] = {}
    for index in PRODUCTS[node.domain, node.op_type]:
        value = node.input(index)
        assert value is not None
        try:
            operands[index] = columns.of(value)
        except Unmoved as why:
            reasons[index] = str(why)
    if not operands:
        raise Unmoved(next(iter(reasons.values())))
    product = product_of(node, operands, columns.sizes)
    batch = product.batch(operands, keys=axis)
    rows = {index: product.rows(index, operand, batch) for index, operand in operands.items()}
    return _Scores(product, rows, reasons, product.without(axis), product.numbered(batch))


def block(anchor: Weighting, columns: Columns, known: Projections) -> AttentionBlock:
    """Return what can be said of the heads of `anchor`, at one size of the free dimensions."""
    scores, reason = _best_scores(anchor, columns)
    where = None
    if scores is not None:
        try:
            where = _score_rows(anchor, scores, columns)
        except Unmoved as why:
            reason = str(why)
    return _Block(anchor, columns, scores, where, reason).described(known)


def _best_scores(anchor: Weighting, columns: Columns) -> tuple[_Scores | None, str]:
    """Return the product before the softmax of which most operands are mapped, and why there is none."""
    best: _Scores | None = None
    reason = "the scores are no product of queries with keys"
    for node, axis in scored(anchor, columns):
        try:
            found = _scores(node, axis, columns)
        except Unmoved as why:
            reason = str(why)
            continue
        if best is None or len(found.reasons) < len(best.reasons):
            best = found
    return best, reason


def _score_rows(anchor: Weighting, scores: _Scores, columns: Columns) -> Array:
    """Return the number of the row of scores that each element of the weights of the values belongs to."""
    goal = anchor.context.node
    _, _, numbers = pushed(
        scores.product.node.node.outputs[0],
        scores.labels,
        lambda node, index: node is goal and index == anchor.index,
        columns.sizes,
        through=_WITHIN,
    )
    return numbers


class _Block:
    """The rows of the product with the values, and what each holds."""

    def __init__(
        self, anchor: Weighting, columns: Columns, scores: _Scores | None, where: Array | None, reason: str
    ) -> None:
        self.anchor, self.columns, self.scores, self.reason = anchor, columns, scores, reason
        self.value_reason = ""
        operands: dict[int, Array] = {} if where is None else {anchor.index: where[None]}
        self.other = next(i for i in PRODUCTS[anchor.context.domain, anchor.context.op_type] if i != anchor.index)
        value = anchor.context.input(self.other)
        assert value is not None
        try:
            operands[self.other] = columns.of(value)
        except Unmoved as why:
            self.value_reason = str(why)
        self.rows: dict[int, Array] = {}
        self.product: Product | None = None
        if operands:
            try:
                self._align(operands)
            except Unmoved as why:
                self.reason, self.rows, self.product = str(why), {}, None

    def _align(self, operands: Mapping[int, Array]) -> None:
        """Find the rows of the product with the values."""
        self.product = product_of(self.anchor.context, operands, self.columns.sizes)
        # Along the last axis of the values numbers differ within a head.
        self.batch = self.product.batch({i: array for i, array in operands.items() if i == self.anchor.index})
        self.rows = {i: self.product.rows(i, operand, self.batch) for i, operand in operands.items()}

    def described(self, known: Projections) -> AttentionBlock:
        node = self.anchor.node
        # For each row of the product with the values: its row of scores, and the columns of queries, keys and values.
        own = self._row_of_scores()
        parts = {"query": self._of_scores(own, True), "key": self._of_scores(own, False)}
        parts["value"] = self.rows.get(self.other)
        labels = {name: None if rows is None else labels_of(rows) for name, rows in parts.items()}
        heads = _heads(labels)
        kv = next((labels[name] for name in ("value", "key") if _any(labels[name])), None)
        by = {"query": heads, "key": kv, "value": kv}
        maps = {}
        for name, rows in parts.items():
            numbers = by[name]
            if rows is None or numbers is None:
                maps[name] = unmapped(self._why(name))
            else:
                maps[name] = columns_by_head(self.columns, rows, numbers)
        if heads is None or self.product is None:
            output = unmapped("its heads are not known")
        else:
            spread = self.product.placed(heads, self.batch)
            output = output_map(self.anchor.context.node.outputs[0], spread, self.columns, known)
        return AttentionBlock(
            name=node.module_name if node.module else node.name,
            node=node.name,
            op=node.op_type,
            heads=None if heads is None else int(heads.max()) + 1,
            kv_heads=None if kv is None else int(kv.max()) + 1,
            kv_head_of=_kv_head_of(heads, kv),
            output=output,
            **maps,
        )

    def _row_of_scores(self) -> Array | None:
        """Return the row of scores of each row of the context; None where it is not one for each."""
        rows = self.rows.get(self.anchor.index)
        if rows is None:
            return None
        highest = rows.max(axis=1)
        lowest = np.where(rows == NONE, highest[:, None], rows).min(axis=1)
        if (highest != lowest).any() or (highest == NONE).any():
            self.reason = "the heads of the scores are mixed before they weigh the values"
            return None
        return np.asarray(highest)

    def _of_scores(self, own: Array | None, query: bool) -> Array | None:
        if own is None or self.scores is None:
            return None
        for index, rows in self.scores.rows.items():
            if (index == self.scores.query) == query:
                return np.asarray(rows[own])
        return None

    def _why(self, name: str) -> str:
        if name == "value":
            return self.value_reason or self.reason
        if self.scores is not None:
            for index, why in self.scores.reasons.items():
                if (index == self.scores.query) == (name == "query"):
                    return why
        return self.reason


def _any(labels: Array | None) -> bool:
    return labels is not None and bool((labels != NONE).any())


def _heads(labels: Mapping[str, Array | None]) -> Array | None:
    """Return the head of each row: rows with the same queries; without queries, the same keys and values."""
    for names in (("query",), ("key", "value")):
        known = [labels[name] for name in names if _any(labels[name])]
        if known:
            return labels_of(
                np.stack([part + 1000003 * (i + 1) for i, part in enumerate(known) if part is not None], 1)
            )
    return None


def _kv_head_of(heads: Array | None, kv: Array | None) -> tuple[int, ...]:
    if heads is None or kv is None or (heads == NONE).any():
        return ()
    first = [int(np.flatnonzero(heads == head)[0]) for head in range(int(heads.max()) + 1)]
    return tuple(int(kv[row]) for row in first)
