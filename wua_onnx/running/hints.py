"""What may be done about an array of another shape than an input of the model has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from wua_onnx.model.dims import Dim

Dims = Sequence[Dim | None]


def fits(shape: Sequence[int], dims: Dims, sample_axis: int | None) -> bool:
    """Return whether an array of `shape` may be given: any number of samples, and free dimensions of any size."""
    return len(shape) == len(dims) and all(
        axis == sample_axis or not isinstance(dim, int) or dim == size
        for axis, (dim, size) in enumerate(zip(dims, shape, strict=True))
    )


def hint(shape: tuple[int, ...], dims: Dims, sample_axis: int | None) -> str:
    """Return `: ` and how an array of another shape may be made to fit; nothing where no way is likely to be meant."""
    return next((f": {way}" for way in _ways(shape, dims, sample_axis)), "")


def _ways(shape: tuple[int, ...], dims: Dims, sample_axis: int | None) -> Iterator[str]:
    axes = tuple(range(len(shape)))
    for axis in (*axes, len(axes)):
        if fits((*shape[:axis], 1, *shape[axis:]), dims, sample_axis):
            added = f"[{':, ' * axis}None]"
            one, several = f"give a single sample its axis with {added}", "make one array of several with numpy.stack"
            yield f"{one}, or {several}" if axis == sample_axis else f"add an axis with {added}"
    if len(axes) > 1:
        for order in ((0, *axes[-1:], *axes[1:-1]), (0, *axes[2:], *axes[1:2]), axes[::-1]):  # channels first, last
            if fits([shape[axis] for axis in order], dims, sample_axis):
                yield f"turn its axes with .transpose{order}"
        if fits((*shape[:-1], shape[-1] - 1), dims, sample_axis):
            yield "if one column holds the labels, give them as y"
    wanted = [dim for dim in dims[1:] if isinstance(dim, int)]
    if (
        sample_axis == 0
        and len(axes) > 1
        and len(wanted) == len(dims) - 1
        and math.prod(wanted) == math.prod(shape[1:])
    ):
        yield f"bring it into shape with .reshape{(-1, *wanted)}"
