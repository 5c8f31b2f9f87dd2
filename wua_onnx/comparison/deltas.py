"""What changed: figures of the whole models, and every figure of the layers that belong together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from wua_onnx.comparison.matching import Pair
from wua_onnx.model.dim_json import from_json
from wua_onnx.model.dims import to_sympy

Json: TypeAlias = Mapping[str, Any]

_COST = ("params", "weight_bytes", "macs", "flops", "int_ops", "activation_bytes", "peak_activation_bytes",
         "bytes_moved")  # fmt: skip
_TOTALS = ("weights", "effective_weights", "utilization", "baseline_utilization", "compression_potential",
           "average_redundancy")  # fmt: skip
_LAYER = ("weights", "neurons", "uses", "macs", "dead_neurons", "non_finite")
_METRICS = ("effective", "utilization", "redundancy", "gini", "entropy", "normalized_entropy", "sum")
_SHARES = ("sparsity", "relative_sparsity", "coverage")
_LONG = 200  # operations of an expression that is not worth simplifying
_SAME = 1e-9  # relative: what two runs on one machine may differ by


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """One figure before and after.

    Attributes:
        name: what it is.
        before, after: as in the audits' JSON; None where a side does not have it.
        ratio: after / before, also of expressions where their free dimensions cancel; None where it cannot be said.
    """

    name: str
    before: Any
    after: Any
    ratio: float | None = None

    @property
    def changed(self) -> bool:
        """Whether the two differ by more than rounding."""
        numbers = [value for value in (self.before, self.after) if isinstance(value, int | float)]
        if len(numbers) == 2:
            return not math.isclose(*numbers, rel_tol=_SAME, abs_tol=1e-12)
        return bool(self.before != self.after)

    def to_dict(self) -> dict[str, Any]:
        """Return the figure in JSON's own types."""
        return {"name": self.name, "before": self.before, "after": self.after, "ratio": self.ratio}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerDelta:
    """One layer before and after.

    Attributes:
        name: in the audit before.
        after_name: in the audit after.
        matched: what says that they are one: "name", "shape", or "place" (between the same matched layers).
        kind: of both.
        shapes: of the canonical weight, before and after.
        changes: words for what differs beside figures: "name", "shape", "operator", "activation".
        figures: by name: `weights`, `neurons`, `macs`, `dead_neurons`, and every metric of the first criterion,
            `sparsity_0.01`, `coverage_0.9` and `untrained_utilization` among them; `weight_change` is the distance
            of the weights over the length of those before, where both models were at hand.
    """

    name: str
    after_name: str
    matched: str
    kind: str
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    changes: tuple[str, ...]
    figures: Mapping[str, Delta]

    @property
    def changed(self) -> bool:
        """Whether anything of it differs but its name."""
        return bool(set(self.changes) - {"name"}) or any(delta.changed for delta in self.figures.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the layer in JSON's own types."""
        return {
            "name": self.name,
            "after_name": self.after_name,
            "matched": self.matched,
            "kind": self.kind,
            "shapes": [list(shape) for shape in self.shapes],
            "changes": list(self.changes),
            "changed": self.changed,
            "figures": [delta.to_dict() for delta in self.figures.values()],
        }


def figures_of(before: Json, after: Json, alike: bool = True) -> tuple[Delta, ...]:
    """Return cost, totals, dead neurons and, where there are labels, accuracy of two audits in JSON.

    Args:
        before: one audit.
        after: the other.
        alike: whether importance means the same in both; its figures are left out where it does not.
    """
    found = [delta(name, before["cost"].get(name), after["cost"].get(name)) for name in _COST]
    found.insert(2, delta("file_bytes", before["model"].get("file_bytes"), after["model"].get("file_bytes")))
    if alike:
        found += [delta(name, before["totals"].get(name), after["totals"].get(name)) for name in _TOTALS]
        found.append(delta("dead_neurons", _dead_neurons(before), _dead_neurons(after)))
    found.append(delta("accuracy", *((side["recording"] or {}).get("accuracy") for side in (before, after))))
    return tuple(one for one in found if not _says_nothing(one))


def _says_nothing(figure: Delta) -> bool:
    """Return whether neither side has the figure; integer operations that there are none of are no news."""
    sides = (figure.before, figure.after)
    return sides == (None, None) or (figure.name == "int_ops" and sides == (0, 0))


def layer_deltas(
    before: Sequence[Json], after: Sequence[Json], pairs: Sequence[Pair], weight_changes: Mapping[int, float | None]
) -> tuple[LayerDelta, ...]:
    """Return what changed of the layers that belong together.

    Args:
        before: layers of one audit in JSON.
        after: those of the other.
        pairs: which are the same.
        weight_changes: how far the weights lie apart, by position in `before`; None where that is not known.
    """
    return tuple(
        _layer(before[pair.before], after[pair.after], pair.by, weight_changes.get(pair.before)) for pair in pairs
    )


def only_in(layers: Sequence[Json], matched: set[int]) -> tuple[dict[str, Any], ...]:
    """Return the layers that no other belongs to, with what is said of them."""
    return tuple(
        {key: layer[key] for key in ("name", "kind", "weight_shape", "weights", "neurons", "macs")}
        | {"utilization": _figures(layer).get("utilization")}
        for index, layer in enumerate(layers)
        if index not in matched
    )


def _layer(one: Json, two: Json, by: str, weight_change: float | None) -> LayerDelta:
    words = {"name": "name", "weight_shape": "shape", "op": "operator", "activation": "activation"}
    sides = [_figures(layer) for layer in (one, two)]
    figures = {name: delta(name, value, sides[1].get(name)) for name, value in sides[0].items()}
    if weight_change is not None:
        figures["weight_change"] = Delta(name="weight_change", before=0.0, after=weight_change)
    return LayerDelta(
        name=one["name"],
        after_name=two["name"],
        matched=by,
        kind=one["kind"],
        shapes=(tuple(one["weight_shape"]), tuple(two["weight_shape"])),
        changes=tuple(word for key, word in words.items() if one.get(key) != two.get(key)),
        figures=figures,
    )


def _figures(layer: Json) -> dict[str, Any]:
    """Return every figure of a layer by name."""
    found = {name: layer.get(name) for name in _LAYER}
    scored: Json = next(iter(layer["criteria"].values()), {})
    metrics, untrained = scored.get("metrics") or {}, scored.get("baseline") or {}
    found |= {name: metrics[name] for name in _METRICS if name in metrics}
    found |= {f"{name}_{part}": value for name in _SHARES for part, value in (metrics.get(name) or {}).items()}
    found |= {f"untrained_{name}": untrained[name] for name in ("utilization", "gini") if name in untrained}
    return found


def _dead_neurons(audit: Json) -> int | None:
    """Return how many neurons are dead, over the layers of which that is known; None where it is of none."""
    known = [layer["dead_neurons"] for layer in audit["layers"] if layer["dead_neurons"] is not None]
    return sum(known) if known else None


def delta(name: str, before: Any, after: Any) -> Delta:
    """Return a figure of two audits in JSON, with its ratio."""
    return Delta(name=name, before=before, after=after, ratio=_ratio(_value(before), _value(after)))


def _value(figure: Any) -> Any:
    """Return the value of a figure of an audit's JSON: a number, a SymPy expression, or None."""
    if isinstance(figure, float):
        return figure
    dim = from_json(figure)
    return None if dim is None else to_sympy(dim)


def _ratio(before: Any, after: Any) -> float | None:
    if before is None or after is None or not before:
        return None
    if isinstance(before, int | float) and isinstance(after, int | float):
        return after / before
    import sympy

    ratio = sympy.sympify(after) / sympy.sympify(before)
    if ratio.count_ops() > _LONG:
        return None
    ratio = sympy.cancel(ratio)
    return float(ratio) if ratio.is_number else None
