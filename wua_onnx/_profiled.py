"""The profile of an opened model: the run, its data, and the count of just these shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wua_onnx._sources import Source, opened
from wua_onnx.cost import CostReport
from wua_onnx.errors import DataError, DeviceError, ModelError, RunError, WuaError
from wua_onnx.model.load import Dims

if TYPE_CHECKING:
    from wua_onnx.observe import Profile
    from wua_onnx.running import Data

UNOPTIMISED = "unoptimised"


def profiled(
    source: Source,
    data: Data | None,
    profile: bool | str,
    dims: Dims | None = None,
    batch_axis: int = 0,
    batch_size: int | None = None,
    device: str = "cpu",
    isolate: bool = False,
) -> dict[str, Any] | None:
    """Return the JSON of a profile; `{"error": why}` where the model cannot be run, for the count stands without it.

    Args:
        source: the model.
        data: what to run it on: the first samples of it; random numbers where there is none.
        profile: False for none (the result is None), "unoptimised" to switch the optimisations of onnxruntime off.
        dims: values of free dimensions; others are 1 where there is no data.
        batch_axis: the axis of the inputs along which samples lie.
        batch_size: samples in a run, 1 by default; the model's own where it is fixed.
        device: where to run it.
        isolate: run onnxruntime in a child process, with a time limit.

    Raises:
        MissingDependency: there is no onnxruntime.
        WuaError: `profile` is something else.
    """
    if profile is False:
        return None
    if profile not in (True, UNOPTIMISED):
        raise WuaError(f"profile: expected True, False or {UNOPTIMISED!r}, got {profile!r}")
    from wua_onnx.running.profiling import check_device

    try:
        check_device(device)
        measured = _profile(source, data, dims, batch_axis, batch_size or 1, profile is True, isolate)
    except (RunError, DataError, DeviceError, ModelError) as error:
        return {"error": str(error)}
    return measured.to_dict()


def cost_and_profile(
    model: Any,
    X: Any,
    *,
    dims: Dims | None,
    batch_axis: int,
    profile: bool | str,
    isolate: bool,
    observe: bool = False,
    time_limit: float | None = None,
) -> tuple[CostReport, dict[str, Any] | None]:
    """Return the count of a model and its profile, as `wua_onnx.cost` and `profiled` do; the model is opened once."""
    with opened(model, X, dims, batch_axis) as source:
        data = source.data(X, None, batch_axis) if X is not None else None
        if observe:
            report = source.observed_cost(dims, data, batch_axis, time_limit)
        else:
            report = source.cost(dims, data, batch_axis)
        return report, profiled(source, data, profile, dims, batch_axis, isolate=isolate)


def _profile(
    source: Source,
    data: Data | None,
    dims: Dims | None,
    batch_axis: int,
    batch: int,
    optimised: bool,
    isolate: bool,
) -> Profile:
    from wua_onnx.observe import random_feeds, time_nodes
    from wua_onnx.running import input_specs

    if data is not None:
        specs, feeds = data.specs, data.head(batch)
    else:
        specs = input_specs(source.load(dims) if dims else source.model, batch_axis)
        feeds = random_feeds(specs, batch=batch)
    sizes = [feeds[spec.name].shape[spec.sample_axis] for spec in specs if spec.sample_axis is not None]
    shapes = {name: array.shape for name, array in feeds.items()}
    return time_nodes(
        source.model,
        source.cost(shapes, None, batch_axis).by_node,
        feeds,
        data="random" if data is None else "given",
        batch=sizes[0] if sizes else None,
        optimised=optimised,
        isolate=isolate,
    )
