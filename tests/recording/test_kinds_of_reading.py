"""What is read of recurrent layers, tables and padded data, against a computation of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from wua_onnx.layers import find_layers
from wua_onnx.model import load
from wua_onnx.recording import Recorder, Recording

from .models import Array, N, model, rand, session

T, D, H, ROWS = 11, 5, 3, 13
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def close(got: Any, wanted: Any, rtol: float = 1e-7, atol: float = 0.0, err_msg: str = "") -> None:
    assert got is not None
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=atol, err_msg=err_msg)


def recorded(proto: onnx.ModelProto, feeds: Any, **options: Any) -> Recording:
    recorder = Recorder(proto, **options)
    recorder.update(feeds)
    return recorder.result()


def recurrent(op: str, *, both: bool = False, lengths: bool = False, layout: int = 0, whole: bool = False) -> Any:
    """One recurrent layer of which the network uses the last state, or the `whole` sequence."""
    gates, directions = GATES[op], 1 + both
    shape = f"N, {T}, {D}" if layout else f"{T}, N, {D}"
    kind = f'hidden_size = {H}, layout = {layout}, direction = "{"bidirectional" if both else "forward"}"'
    outputs = "ys, y" if whole else ", y"
    more, given = (", int32[N] n", "n") if lengths else ("", "")
    names = {"w": (gates * H, D), "r": (gates * H, H)}
    weights = {name: rand(directions, *size, seed=i) for i, (name, size) in enumerate(names.items())}
    results = "(float[] ys, float[] y)" if whole else "(float[] y)"
    return model(
        f"(float[{shape}] x{more}) => {results} {{ {outputs} = {op}<{kind}>(x, w, r, , {given}) }}", weights, opset=21
    )


@pytest.mark.parametrize("op", list(GATES))
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_hidden_sequence_is_read_over_its_valid_steps(op: str, both: bool, lengths: bool, size: int) -> None:
    random = np.random.default_rng(3)
    feeds: dict[str, Array] = {"x": rand(T, N, D)}
    if lengths:
        feeds["n"] = random.integers(1, T + 1, N).astype(np.int32)
    found = recorded(recurrent(op, both=both, lengths=lengths), feeds, batch_axis=1, batch_size=size)
    sequence = session(recurrent(op, both=both, lengths=lengths, whole=True)).run(None, feeds)[0]  # (T, dirs, N, H)
    valid = feeds["n"] if lengths else np.full(N, T)
    steps = np.concatenate([sequence[:steps, :, i] for i, steps in enumerate(valid)])  # (Σ steps, dirs, H)
    wanted = np.abs(steps).mean(axis=0).reshape(-1)
    assert set(found.layers) == {"w", "r"}
    for name in found.layers:
        close(found.layers[name][0].mean, wanted, rtol=1e-5)
        assert found.layers[name][0].positions == valid.sum()


@pytest.mark.parametrize("op", list(GATES))
@pytest.mark.parametrize("both", [False, True])
def test_recurrent_weights_by_gate(op: str, both: bool) -> None:
    layers = find_layers(load(recurrent(op, both=both))).by_name
    gates, directions = GATES[op], 1 + both
    for name, inner in (("w", D), ("r", H)):
        stored = rand(directions, gates * H, inner, seed=("w", "r").index(name))
        assert layers[name].shape == (gates, directions * H, inner)
        for gate in range(gates):
            for direction in range(directions):
                mine = layers[name].weight()[gate, direction * H : (direction + 1) * H]
                np.testing.assert_array_equal(mine, stored[direction, gate * H : (gate + 1) * H])


TABLE = "(int64[N, 7] i) => (float[] y) { e = Gather(table, i) m = ReduceMean<keepdims = 0>(e, one) y = MatMul(m, w) }"


@pytest.mark.parametrize("size", [1, 7, 64])
def test_rows_are_read_by_how_often_they_are_looked_up(size: int) -> None:
    random = np.random.default_rng(5)
    indices = random.integers(0, ROWS - 3, (N, 7))
    indices[0, 0] = -1  # the last row
    proto = model(TABLE, {"table": rand(ROWS, D), "w": rand(D, 3), "one": np.array([1])})
    found = recorded(proto, indices, batch_size=size).layers["table"][0]
    wanted = np.bincount(indices.reshape(-1) % ROWS, minlength=ROWS) / indices.size
    close(found.mean, wanted, rtol=1e-12)
    assert found.positions == indices.size
    assert list(np.flatnonzero(found.dead(smooth=False))) == list(np.flatnonzero(wanted == 0))


MASKED = """(int64[N, S] ids, int64[N, S] attention_mask) => (float[] y) {
    e = Gather(table, ids) a = MatMul(e, w) f = Relu(a) t0 = MatMul(f, v) t = Tanh(t0)
    u = Transpose<perm = [1, 0, 2]>(t) g = MatMul(u, z) s = Sigmoid(g) m = ReduceMean<keepdims = 0>(s, zero)
    y = MatMul(m, o)
}"""


def masked_model() -> onnx.ModelProto:
    weights = {"table": rand(ROWS, D), "w": rand(D, 7), "v": rand(7, 3), "z": rand(3, 2), "o": rand(2, 2)}
    return model(MASKED, {**weights, "zero": np.array([0])})


@pytest.mark.parametrize("size", [1, 7, 64])
def test_padded_positions_are_left_out(size: int) -> None:
    """What stands at padded positions changes nothing, and the means are those of the valid ones alone."""
    random = np.random.default_rng(7)
    lengths = random.integers(1, T + 1, N)
    mask = (np.arange(T) < lengths[:, None]).astype(np.int64)
    ids = random.integers(0, ROWS, (N, T))
    other = np.where(mask == 1, ids, random.integers(0, ROWS, (N, T)))
    proto = masked_model()
    options = {"batch_size": size, "statistics": ["square", "firing", "range", "features"]}
    found = [recorded(proto, {"ids": i, "attention_mask": mask}, **options) for i in (ids, other)]
    assert found[0].mask == "attention_mask"
    assert found[0].unmasked == ("o",)
    for name in ("table", "w", "v", "z"):
        for field in ("mean", "standard_error", "rms", "firing_rate", "largest", "smallest", "input_norms"):
            first, second = (getattr(recording.layers[name][0], field) for recording in found)
            if first is not None:
                close(first, second, rtol=1e-6, err_msg=f"{name}.{field}")
    valid = rand(ROWS, D)[ids][mask == 1]
    hidden = np.maximum(valid @ rand(D, 7), 0)
    close(found[0].layers["w"][0].mean, hidden.mean(0), rtol=1e-5)
    close(found[0].layers["w"][0].firing_rate, (hidden > 0).mean(0), rtol=1e-6)
    close(found[0].layers["w"][0].rms, np.sqrt(np.square(hidden).mean(0)), rtol=1e-5)
    close(found[0].layers["w"][0].input_norms, np.linalg.norm(valid, axis=0), rtol=1e-5)
    close(found[0].layers["w"][0].largest, hidden.max(0), rtol=1e-6)
    assert found[0].layers["w"][0].positions == lengths.sum()
    rows = np.bincount(ids[mask == 1], minlength=ROWS) / lengths.sum()
    close(found[0].layers["table"][0].mean, rows, rtol=1e-12)
    unmasked = recorded(proto, {"ids": ids, "attention_mask": mask}, mask=False, **options)
    assert unmasked.mask is None
    assert not np.allclose(unmasked.layers["w"][0].mean, hidden.mean(0), rtol=1e-3)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_where_channels_fire(size: int) -> None:
    x = rand(N, 3, 7, 5)
    proto = model("(float[N, 3, 7, 5] x) => (float[] y) { y = Conv(x, w) }", {"w": rand(2, 3, 3, 3)})
    found = recorded(proto, x, batch_size=size, statistics=["map"]).layers["w"][0]
    y = session(proto).run(None, {"x": x})[0]
    close(found.map, np.abs(y).mean(0), rtol=1e-5)


def test_histograms_and_kept_outputs() -> None:
    x = rand(N, 5)
    proto = model("(float[N, 5] x) => (float[] y) { a = MatMul(x, w) y = Tanh(a) }", {"w": rand(5, 3)})
    found = recorded(proto, x, batch_size=7, statistics=["histogram"], keep_outputs=True)
    y = session(proto).run(None, {"x": x})[0]
    close(found.outputs["y"], y, atol=1e-6)
    counts = found.layers["w"][0].histogram
    assert counts is not None
    assert counts.sum() == y.size
    middle = counts.size // 2
    assert (counts[:middle].sum(), counts[middle + 1 :].sum()) == ((y < 0).sum(), (y > 0).sum())
    halves = np.count_nonzero((np.abs(y) >= 0.5) & (np.abs(y) < 1))
    assert counts[middle + 26] + counts[middle - 26] == halves


def test_a_layer_of_which_every_position_is_padded_is_not_recorded() -> None:
    padded = {"ids": np.ones((N, T), np.int64), "attention_mask": np.zeros((N, T), np.int64)}
    found = recorded(masked_model(), padded)
    assert set(found.layers) == {"o"}  # which the mask does not reach
    assert found.missing
    assert all("all are padded" in reason for reason in found.missing.values())
