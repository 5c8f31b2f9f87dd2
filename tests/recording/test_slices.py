"""Batches run a few samples at a time, which nobody sees in what is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest

from wua_onnx.model import load
from wua_onnx.recording import Recorder, slices, sums
from wua_onnx.recording.apart import keeps_apart, symbols_of
from wua_onnx.running.inputs import input_specs

from .models import Array, N, mlp, model, rand, resnet, vit
from .test_merging import CASES, EVERYTHING, ids_and_mask, same

WITHOUT_MAP = tuple(name for name in EVERYTHING if name != "map")


def recorder_of(proto: onnx.ModelProto, **options: Any) -> tuple[Recorder, list[int]]:
    """A recorder, and how many samples each of its runs will have had."""
    recorder, seen = Recorder(proto, **options), []
    run = recorder._runner.run

    def watched(feeds: Mapping[str, Array], also: Any = ()) -> dict[str, Array]:
        spec = recorder.specs[0]
        seen.append(feeds[spec.name].shape[spec.sample_axis or 0])
        return run(feeds, also)

    recorder._runner.run = watched  # type: ignore[method-assign]  # watched, and run as ever
    return recorder, seen


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("statistics", [(), WITHOUT_MAP, EVERYTHING], ids=["mean", "more", "maps, too"])
def test_slices_record_what_whole_batches_do(
    case: str, statistics: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, feeds, axis = CASES[case]
    whole, runs = recorder_of(make(), batch_size=23, statistics=statistics, batch_axis=axis)
    whole.update(feeds)
    assert runs == [23, N - 23]
    monkeypatch.setattr(slices, "ROOM", 1)
    sliced, runs = recorder_of(make(), batch_size=23, statistics=statistics, batch_axis=axis)
    sliced.update(feeds)
    assert sum(runs) == N
    assert max(runs) < N - 23
    assert sliced.result().batches == 2
    same(sliced.result(), whole.result())
    same(whole.result(), sliced.result())


def test_positions_that_samples_cannot_be_told_apart_in(monkeypatch: pytest.MonkeyPatch) -> None:
    x = rand(N, 3, 4, 12)
    whole, _ = recorder_of(vit(), batch_size=N)
    whole.update(x)
    monkeypatch.setattr(slices, "ROOM", 1)
    sliced, runs = recorder_of(vit(), batch_size=N)
    sliced.update(x)
    assert len(runs) > 2
    for name, uses in whole.result().layers.items():
        (got,), (wanted,) = sliced.result().layers[name], uses
        np.testing.assert_allclose(got.mean, wanted.mean, rtol=1e-5, err_msg=name)
        assert got.positions == wanted.positions


def test_labels_are_compared_with_the_outputs_of_all_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rand(N, 5), np.arange(N) % 3
    whole, _ = recorder_of(mlp())
    whole.update(x, y)
    monkeypatch.setattr(slices, "ROOM", 1)
    sliced, runs = recorder_of(mlp())
    sliced.update(x, y)
    assert len(runs) > 2
    assert (sliced.correct, sliced.labelled) == (whole.correct, whole.labelled)
    assert sliced.labelled == N


# An image of 17 x 13 pixels becomes 5 maps of 9 x 7 in each of three layers: fewer weights than that.
@pytest.mark.parametrize(
    ("room", "size"),
    [(4 * 5 * 9 * 7 * 11 + 13, 11), (4 * 5 * 9 * 7 * 11 - 1, 10), (1, 1), (4 * 5 * 9 * 7 * N, N), (10**9, N)],
)
def test_the_largest_activation_of_a_slice_has_room(room: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "ROOM", room)
    recorder, runs = recorder_of(resnet(), batch_size=N)
    recorder.update(rand(N, 3, 17, 13))
    assert max(runs) <= size
    assert len(runs) == -(-N // size)
    assert max(runs) - min(runs) <= 1


def test_a_slice_is_worth_reading_the_weights_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "ROOM", 1)
    proto = model("(float[N, 13] x) => (float[] y) { a = MatMul(x, w) y = Relu(a) }", {"w": rand(13, 7)})
    recorder, runs = recorder_of(proto, batch_size=N)
    recorder.update(rand(N, 13))
    assert max(runs) == 13 * 7 // (2 * 7)


def test_what_has_to_be_run_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "ROOM", 1)
    x = rand(N, 3, 17, 13)
    for proto, options in ((resnet(), {"keep_outputs": True, "batch_size": 19}), (resnet(shape="19, 3, 17, 13"), {})):
        recorder, runs = recorder_of(proto, **options)
        recorder.update(x[:19])
        assert runs == [19]


def test_taps_that_are_placed_anew_by_a_late_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, runs = recorder_of(mlp(), batch_size=N)
    monkeypatch.setattr(slices, "ROOM", 1)
    watched = recorder._runner.run

    def placing(feeds: Mapping[str, Array], also: Any = ()) -> dict[str, Array]:
        if len(runs) == 5:
            recorder._runner._place(frozenset(recorder._plan.taps))
        return watched(feeds, also)

    recorder._runner.run = placing  # type: ignore[method-assign]  # as where a slice has longer activations
    recorder.update(rand(N, 5))
    assert sum(runs) == 2 * N
    whole = Recorder(mlp(), batch_size=N)
    whole.update(rand(N, 5))
    same(recorder.result(), whole.result())


APART = {
    "conv": resnet(),
    "attention": vit(),
    "masked": CASES["masked"][0](),
    "recurrent": CASES["lstm"][0](),
    "within samples": model(
        "(float[N, 5] x) => (float[] y) { a = MatMul(x, w) b = Softmax<axis = -1>(a) c = CumSum(b, second) "
        "d = LpNormalization(c) y = LayerNormalization(d, v) }",
        {"w": rand(5, 3), "v": rand(3), "second": np.array([1])},
    ),
    "sizes as numbers": model(
        "(float[N, 5] x) => (float[] y) { n = Shape(x) f = Cast<to = 1>(n) k = ReduceMax<keepdims = 0>(f) "
        "a = MatMul(x, w) y = Mul(a, k) }",
        {"w": rand(5, 3)},
    ),
}
MIXED = {
    "softmax over the batch": "y = Softmax<axis = 0>(a)",
    "softmax over the batch, told from behind": "y = LogSoftmax<axis = -2>(a)",
    "sums over the samples before": "y = CumSum(a, first)",
    "normalised over the batch": "y = LpNormalization<axis = 0>(a)",
    "samples as steps": "t = Unsqueeze(a, middle) y, h = RNN<hidden_size = 2>(t, wi, wh)",
    "samples as pixels": "t = Transpose<perm = [1, 0]>(a) "
    "u = Unsqueeze(t, first) y = AveragePool<kernel_shape = [3]>(u)",
    "mean over the batch": "m = ReduceMean<keepdims = 1>(a, first) y = Sub(a, m)",
    "similarities": "t = Transpose<perm = [1, 0]>(a) y = MatMul(a, t)",
    "rows beside the samples": "y = Concat<axis = 0>(a, w)",
    "a size that the data tells": "f = NonZero(a) y = Cast<to = 1>(f)",
    "quantized as the batch is": "q, s, z = DynamicQuantizeLinear(a) y = DequantizeLinear(q, s, z)",
    "a branch": "c = ReduceMax<keepdims = 0>(x) b = Cast<to = 9>(c) "
    "y = If (b) <then_branch = g1 () => (y1) { y1 = Neg(a) }, else_branch = g2 () => (y2) { y2 = Relu(a) }>",
}


def apart(proto: onnx.ModelProto, axis: int = 0) -> bool:
    loaded = load(proto)
    dims = [spec.dims[spec.sample_axis or 0] for spec in input_specs(loaded, axis) if spec.dims is not None]
    return keeps_apart(loaded, frozenset(name for dim in dims for name in symbols_of(dim)))


@pytest.mark.parametrize("case", APART)
def test_samples_that_are_kept_apart(case: str) -> None:
    assert apart(APART[case], 1 if case == "recurrent" else 0)


@pytest.mark.parametrize("case", MIXED)
def test_samples_that_are_mixed(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    proto = model(
        f"(float[N, 5] x) => (float[] y) {{ a = MatMul(x, w) {MIXED[case]} }}",
        {
            "w": rand(5, 5),
            "first": np.array([0]),
            "middle": np.array([1]),
            "wi": rand(1, 2, 5),
            "wh": rand(1, 2, 2),
        },
    )
    assert not apart(proto)
    monkeypatch.setattr(slices, "ROOM", 1)
    recorder, runs = recorder_of(proto, batch_size=N)
    recorder.update(rand(N, 5))
    assert runs == [N]


def test_results_of_small_batches_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever they are added up, and whatever comes in between: a batch of another size, a recorder that joins."""
    x = rand(N, 5)
    parts = [x[:3], x[3:6], x[6:9], x[9:10], x[10:13], x[13:]]
    recorders = []
    for room in (0, 5 * 3 * (7 + 11 + 3), 2**20):
        monkeypatch.setattr(sums, "_ROOM", room)
        first, second = Recorder(mlp()), Recorder(mlp())
        for part in parts[:4]:
            first.update(part)
        for part in parts[4:]:
            second.update(part)
        first.merge(second)
        recorders.append(first)
    for recorder in recorders:
        same(recorder.result(), recorders[0].result(), within=1e-12)
        np.testing.assert_allclose(
            recorder.result().layers["w"][0].standard_error,
            recorders[0].result().layers["w"][0].standard_error,
            rtol=1e-9,
        )
    whole = Recorder(mlp(), batch_size=N)
    whole.update(x)
    same(recorders[0].result(), whole.result())


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = 4 * (11 * (7 + 11 + 3) + 2 * 11)  # bytes: means of 11 samples, extremes of the neurons behind Tanh
    monkeypatch.setattr(sums, "_ROOM", 5 * batch)
    recorder = Recorder(mlp(), batch_size=11)
    waiting = []
    for _ in range(13):
        recorder.update(rand(11, 5))
        waiting.append(len(recorder._sums._waiting))
    assert waiting == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0]
    assert recorder.result().layers["w"][0].positions == 13 * 11


def test_lengths_that_batches_share() -> None:
    """One recorder, batches of other lengths: each is cut as its own lengths ask."""
    feeds = ids_and_mask()
    recorder, runs = recorder_of(CASES["masked"][0](), batch_size=N)
    for steps in (3, 11):
        recorder.update({name: array[:, :steps] for name, array in feeds.items()})
    assert runs == [N, N]
    assert len(recorder._slices._sizes) == 2
