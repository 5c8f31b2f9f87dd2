"""compare(): two models side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from wua_onnx._audit import analyze
from wua_onnx._result import Audit
from wua_onnx._sources import Source, opened, with_sample
from wua_onnx.comparison import Comparison, Outputs, compare_outputs, figures_of, layer_deltas, only_in
from wua_onnx.comparison.matching import Pair, match
from wua_onnx.errors import DataError, ShapeError, WuaError
from wua_onnx.model.load import Dims
from wua_onnx.report.alike import alike, differences

Json: TypeAlias = Mapping[str, Any]

_LARGE = 2**26  # elements of a weight that is not read a second time


def compare(
    before: Any,
    after: Any,
    X: Any = None,
    y: Any = None,
    *,
    dims: Dims | None = None,
    batch_axis: int = 0,
    criterion: str | Sequence[str] = "activation",
    batch_size: int | None = None,
    device: str = "cpu",
    isolate: bool = False,
    progress: Any = None,
) -> Comparison:
    """Return two models side by side: cost, totals, the layers that belong together, and how outputs differ.

    Layers are matched by name, then by kind and shape, then by their place between matched ones. Two models that share
    none are compared as wholes, and a note says so.

    Args:
        before: a model as for `analyze`, an audit, or a path to the JSON of one.
        after: likewise.
        X: data for the models that are analysed here; where both are models, their outputs are compared on it.
        y: labels, one a sample, for the accuracy.
        dims: sizes of symbolic dimensions; a name needs to be known to one of the models.
        batch_axis: the axis of the inputs along which samples lie.
        criterion: the criterion of importance, or several; layers are compared by the first.
        batch_size: samples in a batch; the model's own where it is fixed.
        device: "cpu" or "cuda".
        isolate: run onnxruntime in child processes.
        progress: as for `analyze`.

    Raises:
        DataError: X does not fit, or there is no model to run on it.
        WuaError: as `analyze` and `Audit.from_json` do.
    """
    if hasattr(X, "__next__"):
        X = list(X)  # both models read it
    given = [_read(side) for side in (before, after)]
    if X is not None and all(isinstance(side, Audit) for side in given):
        raise DataError("compare: expected a model to run on X, got two audits: leave X out")
    options: dict[str, Any] = {"batch_axis": batch_axis, "batch_size": batch_size, "device": device, "isolate": isolate}
    with ExitStack() as stack:
        sides = [side if isinstance(side, Audit) else _opened(stack, side, X, dims, batch_axis) for side in given]
        models = [side for side in sides if isinstance(side, Source)]
        sizes = _sizes(models, dims)
        audits = [
            side
            if isinstance(side, Audit)
            else analyze(side, X, y, dims=sizes[id(side)], criterion=criterion, progress=progress, **options)
            for side in sides
        ]
        outputs = None
        if X is not None and len(models) == 2:
            outputs = compare_outputs(models[0].model, models[1].model, X, **options)
        return compared(audits[0], audits[1], outputs)


def compared(before: Audit, after: Audit, outputs: Outputs | None = None) -> Comparison:
    """Return two audits side by side; importance is left out where it does not mean the same in both."""
    one, two = before.to_dict(), after.to_dict()
    pairs = match(one["layers"], two["layers"])
    names = [(one["layers"][pair.before]["name"], two["layers"][pair.after]["name"]) for pair in pairs]
    changes = {pair.before: _weight_change(before, after, *both) for pair, both in zip(pairs, names, strict=True)}
    return Comparison(
        before=before,
        after=after,
        figures=figures_of(one, two, alike(one, two)),
        layers=layer_deltas(one["layers"], two["layers"], pairs, changes),
        only_after=only_in(two["layers"], {pair.after for pair in pairs}),
        only_before=only_in(one["layers"], {pair.before for pair in pairs}),
        outputs=outputs,
        notes=tuple(_notes(one, two, pairs)),
    )


def _notes(one: Json, two: Json, pairs: Sequence[Pair]) -> Iterator[str]:
    if one["layers"] and two["layers"] and not pairs:
        yield "the models share no layer, by name, shape or place: only their figures as wholes are compared"
    yield from differences(one, two)
    for side in (one, two):
        error = (side["recording"] or {}).get("error")
        if error:
            yield f"recording of {side['model']['name']} failed: {error}"


def _read(side: Any) -> Any:
    if isinstance(side, str | Path) and Path(side).suffix == ".json":
        return Audit.from_json(side)
    return side


def _opened(stack: ExitStack, side: Any, X: Any, dims: Dims | None, batch_axis: int) -> Source:
    return stack.enter_context(opened(side, with_sample(X)[1], dims, batch_axis))


def _sizes(models: Sequence[Source], dims: Dims | None) -> dict[int, Any]:
    """Return the sizes each model knows the names of.

    Raises:
        ShapeError: none of the models knows a name.
    """
    if not dims:
        return {id(model): None for model in models}
    known = {id(source): _names(source) for source in models}
    strangers = set(dims) - set().union(*known.values())
    if strangers:
        there = ", ".join(sorted(set().union(*known.values()))) or "none"
        raise ShapeError(f"dims: expected names of dimensions or inputs ({there}), got {', '.join(sorted(strangers))}")
    return {key: {name: size for name, size in dims.items() if name in names} or None for key, names in known.items()}


def _names(source: Source) -> set[str]:
    """Return what `dims` can name in a model: free dimensions and inputs."""
    inputs = {value.name or "" for value in source.model.inputs}
    return inputs | set(source.cost(None, None, 0).symbols)


def _weight_change(before: Audit, after: Audit, name: str, other: str) -> float | None:
    """Return ‖after - before‖ / ‖before‖ of a layer's weights; None unless both are at hand, and of one shape."""
    one, two = before.layers[name], after.layers[other]
    if one.weight_shape != two.weight_shape or math.prod(one.weight_shape) > _LARGE:
        return None
    try:
        weights = [np.asarray(layer.weight, dtype=np.float64) for layer in (one, two)]
    except WuaError:  # an audit read from JSON
        return None
    length, change = (float(np.linalg.norm(array)) for array in (weights[0], weights[1] - weights[0]))
    return change / length if length and math.isfinite(change) else None
