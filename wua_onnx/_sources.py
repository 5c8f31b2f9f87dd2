"""What a caller gives as `model`, opened: converted where it comes from a framework, loaded, bound to its data."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wua_onnx.cost import CostReport, count
from wua_onnx.cost.nodes import Observed
from wua_onnx.errors import DataError, ExternalDataError, LimitError, RunError
from wua_onnx.model import Model, load
from wua_onnx.model import dims as d
from wua_onnx.model.given_dims import check_dims
from wua_onnx.model.load import Dims, skeleton_of

if TYPE_CHECKING:
    from wua_onnx.running import Data


@dataclass(kw_only=True)
class Source:
    """A model ready to be audited.

    Attributes:
        given: what can be loaded: the caller's object or path, or that of the converted file.
        origin: what the audit says of a conversion, empty where there was none.
        names: what the conversion knows and the file does not: the model's name, the names of its layers.
    """

    given: Any
    origin: dict[str, Any] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def model(self) -> Model:
        """The model with no dimension bound, opened when first asked for: counting at given sizes does without."""
        return self.load()

    def load(self, dims: Dims | None = None) -> Model:
        """Return the model opened anew, with `dims` bound."""
        return replace(load(self.given, dims=dims), **self.names)

    def data(self, X: Any, y: Any, batch_axis: int) -> Data:
        """Return X checked against the model's inputs."""
        from wua_onnx.running import Data, input_specs

        return Data(X, input_specs(self.model, batch_axis), y)

    def cost(self, dims: Dims | None, data: Data | None, batch_axis: int) -> CostReport:
        """Return the cost with every dimension bound that `dims` and the data's shapes tell.

        Shapes are inferred anew with the sizes in place, since more can be told from numbers than from symbols.
        """
        bound: dict[str, Any] = dict(dims or {})
        if data is not None:
            bound = {**_sizes(self.model, data), **bound}
        return count(self.load(bound) if bound else self.model, batch_axis=batch_axis)

    def observed_cost(
        self, dims: Dims | None, data: Data | None, batch_axis: int, limit: float | None = None
    ) -> CostReport:
        """Return the cost of running the first sample: its trips, its branches, its shapes.

        Where the run fails the count is that of the graph alone, and its `observed` says why.

        Args:
            dims: as for `cost`; they must agree with the data.
            data: what to run; a model without inputs needs none. A batch that the model fixes is filled up with copies.
            batch_axis: the axis of the inputs along which samples lie.
            limit: seconds the run may take; 600 by default.

        Raises:
            DataError: there is no data.
            ShapeError: `dims` contradicts the data.
            MissingDependency: there is no onnxruntime.
        """
        from wua_onnx.observe import observe
        from wua_onnx.running.session import TIME_LIMIT

        if data is None and self.model.inputs:
            raise DataError("observe: expected data to run the model on, got none: give X")
        feeds = data.head(1) if data is not None else {}
        sizes = [feeds[s.name].shape[s.sample_axis] for s in data.specs if s.sample_axis is not None] if data else []
        bound = {**(dims or {}), **{name: array.shape for name, array in feeds.items()}}
        model = self.load(bound)
        try:
            found = observe(model, feeds, samples=sizes[0] if sizes else 1, limit=limit or TIME_LIMIT)
        except (RunError, ExternalDataError, LimitError) as error:
            return replace(count(model, batch_axis=batch_axis), observed=Observed(samples=0, error=str(error)))
        return count(model, batch_axis=batch_axis, observations=found)

    def checker(self, isolate: bool) -> str | None:
        """Return what onnx's checker objects to; None where it objects to nothing."""
        from wua_onnx.running.checker import verdict
        from wua_onnx.running.isolated import isolated_verdict

        return (isolated_verdict if isolate else verdict)(skeleton_of(self.given))


def _sizes(model: Model, data: Data) -> dict[str, int]:
    """Return the size of every free dimension by its name: 1 for samples, the data's own for the others."""
    sizes: dict[str, int] = {}
    for spec in data.specs:
        for axis, dim in enumerate(spec.dims or ()):
            if isinstance(dim, d.Expr):
                size = 1 if axis == spec.sample_axis else data.first[spec.name].shape[axis]
                sizes.setdefault(model.text(dim), size)
    return sizes


def with_sample(X: Any) -> tuple[Any, Any]:
    """Return X, and a part of it to convert with; an iterator gives up its first batch and gets it back."""
    if not hasattr(X, "__next__"):
        return X, X
    head = next(X, None)
    if head is None:
        raise DataError("X: expected at least one batch, got an empty iterator")
    return itertools.chain([head], X), head


@contextmanager
def opened(model: Any, X: Any, dims: Dims | None, batch_axis: int = 0) -> Iterator[Source]:
    """Yield `model` as a `Source`; a converted file lives as long as its model, for arrays asked for later.

    A `Source` is yielded as it is.

    Raises:
        ModelError, ConversionError: the model cannot be read or converted.
        ShapeError: `dims` is no mapping.
    """
    check_dims(dims)
    if isinstance(model, Source):
        yield model
        return
    from wua_onnx.converters import is_convertible

    if not is_convertible(model):
        yield Source(given=model)
        return
    from wua_onnx.converters import to_onnx

    folder = tempfile.mkdtemp(prefix="wua_onnx_")
    source = None
    try:
        converted = to_onnx(model, Path(folder) / "model.onnx", X, dims=dims, batch_axis=batch_axis)
        origin = {
            "file": None,
            "converted_from": f"{converted.framework} {converted.framework_version}",
            "max_difference": converted.max_difference,
            "warnings": list(converted.warnings),
            "modules": {path: module.to_dict() for path, module in converted.modules.items()},
        }
        names = {"layer_names": dict(converted.layer_names), "name": _name(model)}
        source = Source(given=converted.path, origin=origin, names=names)
        yield source
    finally:
        if source is not None and "model" in vars(source):
            # Layers may have a copy of the model with more constants; all share one graph.
            weakref.finalize(source.model.ir_model, shutil.rmtree, folder, ignore_errors=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _name(model: Any) -> str:
    if isinstance(model, str | Path):
        return Path(model).stem
    name = getattr(model, "name", None)
    # A concrete function of TensorFlow's has a name in bytes; a module may mean anything by this.
    name = name.decode(errors="replace") if isinstance(name, bytes) else name
    return name if isinstance(name, str) and name else type(model).__name__


def convert(
    model: Any,
    path: str | Path,
    X: Any = None,
    *,
    dims: Mapping[str, Any] | None = None,
    factory: str | None = None,
    signature: str | None = None,
    batch_axis: int = 0,
) -> Path:
    """Write a framework's model as ONNX and return the path of the file.

    Args:
        model: what `analyze` accepts, of PyTorch, Keras or TensorFlow; the name of a function that makes one,
            `mypkg.models:build`.
        path: the .onnx file to write; it appears whole or not at all.
        X: data, as for `analyze`; PyTorch modules need it.
        dims: shapes by input name; a shape may hold names, of dimensions to leave free: `{"ids": ("batch", "seq")}`.
        factory: `module:function` that builds the untrained model, for a file that holds weights alone.
        signature: which signature of a SavedModel is meant.
        batch_axis: the axis of X along which samples lie, for PyTorch models.

    Raises:
        ConversionError: the model cannot be converted, or computes something else afterwards.
        OutputError: `path` cannot be written.
    """
    from wua_onnx.converters import to_onnx

    options: dict[str, Any] = {"dims": dims, "factory": factory, "signature": signature, "batch_axis": batch_axis}
    written: Path = to_onnx(model, Path(path), X, **options).path
    return written
