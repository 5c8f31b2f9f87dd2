"""analyze(): the whole pipeline on one page; cost(), its static part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wua_onnx import _describe as describe
from wua_onnx import findings, importance
from wua_onnx._attention import describe_attention
from wua_onnx._describe_layers import describe_layers
from wua_onnx._duplicates import duplicates
from wua_onnx._layer_audit import LiveLayer
from wua_onnx._profiled import profiled
from wua_onnx._recorded import check_recorded, fitting_batch, record, recording_json, recording_of, static
from wua_onnx._result import SCHEMA_VERSION, Audit
from wua_onnx._sources import Source, opened, with_sample
from wua_onnx._text import clean
from wua_onnx.cost import CostReport
from wua_onnx.cost.estimates import estimates
from wua_onnx.diagrams.figure import graph_json
from wua_onnx.diagrams.from_audit import neurons_json
from wua_onnx.diagrams.links import links_json
from wua_onnx.errors import WuaError
from wua_onnx.layers import Layers, find_layers
from wua_onnx.layers.consumers import freed_by_neurons
from wua_onnx.model.load import Dims

if TYPE_CHECKING:
    from wua_onnx.recording import Recorder, Recording


def analyze(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    dims: Dims | None = None,
    batch_axis: int = 0,
    criterion: str | Sequence[str] = "activation",
    activation: str = "post",
    compute_activations: bool = True,
    batch_size: int | None = None,
    device: str = "cpu",
    recording: Recording | Recorder | str | Path | None = None,
    statistics: str | Sequence[str] = (),
    mask: str | bool | None = None,
    isolate: bool = False,
    profile: bool | str = False,
    normalization: bool = False,
    memory: int = 256 * 2**20,
    progress: Any = None,
) -> Audit:
    """Audit a model: what it costs, which of its weights do the work, what can go.

    Args:
        model: a path (.onnx, .pt2, .keras, .h5, a SavedModel folder), an `onnx.ModelProto`, an `onnx_ir.Model`, a
            `torch.nn.Module`, an `ExportedProgram`, a Keras model, a `tf.function` or `tf.Module`.
        X: data: an array or tensor (samples, ...), a tuple of them, a mapping by input name, a list or iterator of
            such batches, a DataLoader, a tf.data.Dataset, or a path to .npy or .npz. Without it the audit is static:
            weights alone, by magnitude.
        y: labels, one a sample; used for the accuracy.
        dims: values of symbolic dimensions, `{"seq": 128}`, or shapes by input name; X binds them by itself.
        batch_axis: the axis of the inputs along which samples lie.
        criterion: the criterion of importance, or several; the first is the one totals and findings rest on.
        activation: "post" reads neurons after their activation function, "pre" at the layer's own output.
        compute_activations: False leaves X to bind dimensions and records nothing.
        batch_size: samples in a batch; the model's own where it is fixed, else as many as have room for their
            activations in `memory`, 256 at most.
        device: "cpu" or "cuda".
        recording: a recording made before with `Recorder`, or the file it was saved to, instead of X.
        statistics: what to record of each neuron beside mean |a|: "square", "firing", "range", "histogram",
            "map" (where the channels of a convolution fire).
        mask: the input of shape (samples, positions) that is 0 at padded positions, which count in no mean; by default
            the one whose name says so (attention_mask). False for none.
        isolate: run onnxruntime in a child process, so that a crash there costs the recorded part only.
        profile: also measure how long every node takes in onnxruntime, on the first samples of X or on random numbers;
            "unoptimised" measures the graph as it is written.
        normalization: take the scales of normalisations (BatchNormalization, LayerNormalization …) for layers too.
        memory: bytes for the activations of a run, and for the weights looked at together; larger layers are read in
            parts, and a metric that is then not exact says how far off it may be (`LayerMetrics.error_bound`).
        progress: a function (samples done, samples in all or None), True for a bar on stderr, None for none.

    Returns:
        The audit; see `Audit`.

    Raises:
        ModelError, ConversionError: the model cannot be read or converted.
        DataError: X does not fit the model.
        DeviceError: the device is not there.
        MissingDependency: a profile was asked for and there is no onnxruntime.
    """
    criteria = (criterion,) if isinstance(criterion, str) else tuple(criterion)
    for name in criteria:
        importance.get(name)
    if not criteria:
        raise WuaError("criterion: expected at least one, got none")
    if activation not in ("post", "pre"):
        raise WuaError(f"activation: expected 'post' or 'pre', got {activation!r}")
    if memory < 1:
        raise WuaError(f"memory: expected a number of bytes above 0, got {memory}")
    statistics = (statistics,) if isinstance(statistics, str) else tuple(statistics)
    X, sample = with_sample(X)
    with opened(model, sample, dims, batch_axis) as source:
        loaded = source.model
        data = source.data(X, y, batch_axis) if X is not None else None
        report = source.cost(dims, data, batch_axis)
        layers = find_layers(loaded, activation=activation, normalization=normalization)
        options = {
            "statistics": {*statistics, *importance.recorded_for(criteria)},
            "batch_axis": batch_axis,
            "batch_size": fitting_batch(report, memory) if batch_size is None else batch_size,
            "mask": mask,
            "device": device,
            "isolate": isolate,
        }
        recorded, problem = recording_of(recording, loaded, layers, activation), None
        if recorded is None and data is not None and compute_activations:
            recorded, problem = record(loaded, layers, data, options, progress)
        if recorded is None:
            criteria = static(criteria)
        else:
            check_recorded(recorded, layers, criteria)
        settings = {
            "criterion": list(criteria),
            "activation": activation,
            "device": device,
            "dims": dict(report.dims),
            "batch_axis": batch_axis,
            "data": data is not None,
            "statistics": sorted(statistics),
            "normalization": normalization,
            "memory": memory,
            "batch_size": batch_size,
            "mask": clean(mask) if isinstance(mask, str) else mask,
            "recording": recording is not None,
            "compute_activations": compute_activations,
            "profile": profile,
        }
        timed = profiled(source, data, profile, dims, batch_axis, batch_size, device, isolate)
        return _assemble(source, report, layers, recorded, problem, settings, source.checker(isolate), timed)


def cost(
    model: Any,
    X: Any = None,
    *,
    dims: Dims | None = None,
    batch_axis: int = 0,
    observe: bool = False,
    time_limit: float = 600.0,
) -> CostReport:
    """Count what a model costs: static, reads no weight and runs nothing unless `observe` says so.

    Args:
        model: as for `analyze`.
        X: data whose shapes bind every free dimension but the batch, which becomes 1.
        dims: values of symbolic dimensions, or shapes by input name; the others stay symbolic.
        batch_axis: the axis of the inputs along which samples lie.
        observe: run the first sample of X once, in a child process, and count the trips, the branches and the shapes
            that it really had: the figures are those of that sample (see `CostReport.observed`). Where the run fails
            the count is that of the graph alone, and `observed.error` says why.
        time_limit: seconds the observed run may take; a Loop may never end.

    Raises:
        ModelError, ConversionError: the model cannot be read or converted.
        ShapeError: `dims` does not fit the model or the data, or shapes of the model contradict each other.
        DataError: X does not fit the model, or there is none to observe.
        MissingDependency: `observe` without onnxruntime.
    """
    X, sample = with_sample(X)
    with opened(model, sample, dims, batch_axis) as source:
        data = source.data(X, None, batch_axis) if X is not None else None
        if observe:
            return source.observed_cost(dims, data, batch_axis, time_limit)
        return source.cost(dims, data, batch_axis)


def _assemble(
    source: Source,
    report: CostReport,
    layers: Layers,
    recorded: Recording | None,
    problem: str | None,
    settings: dict[str, Any],
    checker: str | None,
    profile: dict[str, Any] | None,
) -> Audit:
    from wua_onnx import __version__

    digest = describe.digest(None if source.origin else source.model.path)
    statistics = recorded.layers if recorded is not None else {}
    criteria = settings["criterion"]
    parts = describe_layers(
        layers, statistics, criteria, report, settings["memory"] // 2, source.origin.get("modules", {})
    )
    totals = describe.describe_totals(parts, criteria[0])
    attention = describe_attention(source.model, layers, statistics, criteria[0])
    evidence = findings.Evidence(
        model=source.model,
        cost=report,
        layers=tuple(parts),
        totals=totals,
        criterion=criteria[0],
        checker=checker,
        recording_error=problem,
        samples=recorded.samples if recorded is not None else None,
        unrecorded=recorded.missing if recorded is not None else {},
        partly=recorded.partly if recorded is not None else {},
        duplicates=duplicates(source.model),
        attention=tuple(attention),
        freed=freed_by_neurons(layers.by_name),
        declined=layers.declined,
    )
    data: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "wua_onnx", "version": __version__, "versions": describe.versions()},
        "model": {**describe.describe_model(source.model, checker), "sha256": digest.result(), **source.origin},
        "settings": settings,
        "cost": report.to_dict(),
        "estimates": estimates(report),
        "recording": recording_json(recorded, problem),
        "profile": profile,
        "totals": totals,
        "coverage": describe.describe_coverage(layers, recorded.missing if recorded is not None else {}),
        "layers": parts,
        "attention": attention,
        "checks": findings.checks(),
        "findings": [finding.to_dict() for finding in findings.find(evidence)],
        "diagrams": {**links_json(source.model), "network": neurons_json(layers, statistics, parts)},
    }
    data["diagrams"]["graph"] = graph_json(data)
    live = {name: LiveLayer(layer, tuple(statistics.get(name, ()))) for name, layer in layers.by_name.items()}
    return Audit(data, live=live, cost=report)
