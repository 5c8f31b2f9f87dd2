"""What an audit says of training and of energy: figures of one sample, and an estimate with its constants.

They stand beside the count in the JSON of an audit, never in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from wua_onnx.cost.energy import SOURCES, Energy, energy
from wua_onnx.cost.training import OPTIMIZERS
from wua_onnx.model.dim_json import to_json
from wua_onnx.model.dims import Dim, substitute, symbol

if TYPE_CHECKING:
    from wua_onnx.cost.report import CostReport

BYTES_OF_TRAINING = 3  # times those of forward; see `TrainingCost.bytes_moved`


def estimates(report: CostReport) -> dict[str, Any]:
    """Return, in JSON's own types, what one sample costs in training (convention 13), and the energy of both.

    A batch symbol that is the only free one counts as 1. While other dimensions are free the figures are those of
    a run, as expressions, and there is no energy.
    """
    forward, backward, int_ops, moved = _figures(report)
    return {
        "per": "run" if report.batch is None or _others(report) else "sample",
        "forward": to_json(forward),
        "backward": to_json(backward),
        "optimizers": {name: cost.flops for name, cost in OPTIMIZERS.items()},
        "energy": _energy(forward, backward, int_ops, moved),
        "constants": {name: {"value": value, "source": source} for name, (value, source) in SOURCES.items()},
    }


def _others(report: CostReport) -> bool:
    """Return whether a dimension besides the batch is free."""
    return any(report.batch != symbol(name) for name in report.symbols)


def _figures(report: CostReport) -> tuple[Dim, ...]:
    """Return FLOPs forward and backward, integer operations and bytes moved."""
    whole = (report.cost.flops, report.backward.flops, report.cost.int_ops, report.moved)
    if _others(report):
        return whole
    ones = dict.fromkeys(report.symbols, 1)
    return tuple(_shared(substitute(dim, ones), report.samples_per_run or 1) for dim in whole)


def _shared(dim: Dim, samples: int) -> Dim:
    return round(Fraction(dim, samples)) if isinstance(dim, int) else dim


def _energy(forward: Dim, backward: Dim, int_ops: Dim, moved: Dim) -> Mapping[str, Any] | None:
    if not (isinstance(forward, int) and isinstance(backward, int)):
        return None
    if not (isinstance(int_ops, int) and isinstance(moved, int)):
        return None
    trained = energy(forward + backward, BYTES_OF_TRAINING * moved)
    return {"inference": _plain(energy(forward, moved, int_ops)), "training": _plain(trained)}


def _plain(value: Energy) -> dict[str, Any]:
    constants = [name for name in value.assumptions if name in SOURCES]
    return {"joules": value.joules, "kwh": value.kwh, "grams_co2": value.grams_co2, "constants": constants}
