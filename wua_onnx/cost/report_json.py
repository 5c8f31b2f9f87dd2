"""A cost report as JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from wua_onnx.cost.equal_sizes import EqualSizes
from wua_onnx.cost.figures import intensity
from wua_onnx.cost.groups import Group
from wua_onnx.cost.lifetimes import Lifetime
from wua_onnx.cost.live import LiveBytes
from wua_onnx.cost.nodes import CONSTANT, UNUSED, NodeCost, Observed
from wua_onnx.cost.value import KINDS, Cost, Verdict
from wua_onnx.errors import ShapeError
from wua_onnx.model.dim_json import from_json, to_json
from wua_onnx.model.dims import Dim

if TYPE_CHECKING:
    from wua_onnx.cost.report import CostReport


def to_dict(report: CostReport) -> dict[str, Any]:
    """Return `report` in JSON's own types."""
    return {
        **_figures(report.cost, report.moved),
        "int_macs": to_json(report.cost.int_macs),
        "quantized_macs": to_json(report.cost.quantized_macs),
        "kinds": {kind: to_json(getattr(report.cost, kind)) for kind in ("mul", "add", "div", "compare", "special")},
        "params": to_json(report.params),
        "weight_bytes": to_json(report.weight_bytes),
        "weight_bytes_by_dtype": {dtype: to_json(size) for dtype, size in report.weight_bytes_by_dtype.items()},
        "shared_parameters": dict(report.shared_parameters),
        "activation_bytes": to_json(report.activations),
        "peak_activation_bytes": to_json(report.peak),
        "alive_at_peak": _alive(report),
        "live_bytes": None if report.live_bytes is None else report.live_bytes.to_dict(),
        "unsized": list(report.unsized),
        "kv_cache_bytes_per_token": to_json(report.kv_cache),
        "bytes_moved": to_json(report.moved),
        "bound": report.bound,
        "samples_per_run": report.samples_per_run,
        "batch": to_json(report.batch),
        "trainable": to_json(report.trainable),
        "backward": {"macs": to_json(report.backward.macs), "flops": to_json(report.backward.flops)},
        "observed": None if report.observed is None else asdict(report.observed),
        "symbols": list(report.symbols),
        "equal_sizes": [pair.to_dict() for pair in report.equal_sizes],
        "dims": dict(report.dims),
        "unsupported": dict(report.unsupported),
        "constant": [node.name for node in report.by_node if node.reason == CONSTANT],
        "unused": [node.name for node in report.by_node if node.reason == UNUSED],
        "by_operator": [_group_dict(g, op=g.name, count=g.nodes) for g in report.by_operator.values()],
        "by_module": [_group_dict(g, path=g.name, depth=g.depth, nodes=g.nodes) for g in report.by_module.values()],
        "by_node": [_node_dict(node) for node in report.by_node],
    }


def from_dict(cls: type[CostReport], data: Mapping[str, Any]) -> CostReport:
    """Return the report that `to_dict` wrote.

    Raises:
        KeyError, ValueError: the data was not written by `to_dict`.
    """
    alive, live = data["alive_at_peak"], data.get("live_bytes")
    return cls(
        by_node=tuple(map(_node_from_dict, data["by_node"])),
        params=_dim(data["params"], int),
        weight_bytes_by_dtype={dtype: _dim(size, int) for dtype, size in data["weight_bytes_by_dtype"].items()},
        activations=_dim(data["activation_bytes"]),
        peak=_dim(data["peak_activation_bytes"]),
        batch=from_json(data["batch"]),
        trainable=_dim(data["trainable"], int),
        dims=dict(data["dims"]),
        shared_parameters=dict(data["shared_parameters"]),
        lifetimes=None if alive is None else tuple(Lifetime(a["name"], _dim(a["bytes"], int), 0, 0) for a in alive),
        live=None if live is None else LiveBytes.from_dict(live),
        unsized=tuple(data["unsized"]),
        equal_sizes=tuple(map(EqualSizes.from_dict, data.get("equal_sizes", ()))),
        kv_cache=from_json(data["kv_cache_bytes_per_token"]),
        observed=Observed(**data["observed"]) if data["observed"] is not None else None,
    )


def _alive(report: CostReport) -> list[dict[str, Any]] | None:
    try:
        return [{"name": name, "bytes": to_json(size)} for name, size in report.alive_at_peak]
    except ShapeError:  # dimensions are free
        return None


def _figures(cost: Cost, moved: Dim) -> dict[str, Any]:
    return {
        "macs": to_json(cost.macs),
        "flops": to_json(cost.flops),
        "int_ops": to_json(cost.int_ops),
        "bytes": to_json(moved),
        "intensity": _intensity(cost, moved),
    }


def _intensity(cost: Cost, moved: Dim) -> float | None:
    """Return the arithmetic intensity to six digits; None while it is symbolic, and where nothing moves."""
    if not isinstance(moved, int) or not isinstance(cost.flops + cost.int_ops, int):
        return None
    value = intensity(cost, moved)
    return float(f"{value:.6g}") if value is not None else None


def _group_dict(group: Group, **head: Any) -> dict[str, Any]:
    return {
        **head,
        **_figures(group.cost, group.moved),
        "params": to_json(group.params),
        "verdict": group.verdict.value,
        "reason": group.reason,
    }


def _node_dict(node: NodeCost) -> dict[str, Any]:
    return {
        "name": node.name,
        "op": node.op,
        "module": node.module_name,
        "path": list(node.module),
        **_figures(node.cost, node.moved),
        "cost": {kind: to_json(getattr(node.cost, kind)) for kind in KINDS if getattr(node.cost, kind) != 0},
        "backward": {
            kind: to_json(getattr(node.backward, kind)) for kind in KINDS if getattr(node.backward, kind) != 0
        },
        "params": to_json(node.params),
        "read": to_json(node.bytes_read),
        "written": to_json(node.bytes_written),
        "verdict": node.verdict.value,
        "reason": node.reason,
        "upper": node.upper,
        "inside": dict(node.inside),
        "outputs": [None if shape is None else [to_json(dim) for dim in shape] for shape in node.outputs],
    }


def _dim(value: Any, *kinds: type) -> Any:
    dim = from_json(value)
    if dim is None or (kinds and not isinstance(dim, kinds)):
        raise ValueError(f"expected a number, got {value!r}")
    return dim


def _node_from_dict(data: Mapping[str, Any]) -> NodeCost:
    return NodeCost(
        name=data["name"],
        op=data["op"],
        module=tuple(data["path"]),
        module_name=data["module"],
        cost=Cost(**{kind: _dim(value) for kind, value in data["cost"].items()}),
        backward=Cost(**{kind: _dim(value) for kind, value in data["backward"].items()}),
        verdict=Verdict(data["verdict"]),
        reason=data["reason"],
        upper=data["upper"],
        inside=tuple(data["inside"].items()),
        bytes_read=_dim(data["read"]),
        params=_dim(data["params"], int),
        bytes_written=_dim(data["written"]),
        outputs=tuple(None if shape is None else tuple(map(_dim, shape)) for shape in data["outputs"]),
    )
