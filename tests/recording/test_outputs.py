"""The model's own outputs, joined across batches along the axis that samples lie along."""

from __future__ import annotations

import numpy as np
import pytest

from wua_onnx.recording import Recorder

from .models import N, model, rand, session

TEXT = """(float[N, 5] x, float[N, 3, 2] h) => (float[] y, float[] t, float[] total, float[] state) {
    y = MatMul(x, w) t = Transpose<perm = [1, 0]>(y) total = ReduceSum<keepdims = 0>(y)
    state = Tanh(h)
}"""


@pytest.mark.parametrize("size", [1, 7, 64])
def test_outputs_are_joined_where_samples_lie(size: int) -> None:
    proto = model(TEXT, {"w": rand(5, 3)})
    feeds = {"x": rand(N, 5), "h": rand(N, 3, 2)}
    recorder = Recorder(proto, keep_outputs=True, batch_size=size)
    recorder.update(feeds)
    got = recorder.result().outputs
    y, transposed, total, state = session(proto).run(None, feeds)
    for name, expected in (("y", y), ("t", transposed), ("state", state)):
        np.testing.assert_allclose(got[name], expected, atol=1e-6)
    runs = -(-N // size)
    assert got["total"].shape == ((runs,) if runs > 1 else ())
    np.testing.assert_allclose(sum(np.atleast_1d(got["total"])), total, rtol=1e-4)


def test_outputs_whose_shapes_depend_on_the_data_are_kept_one_by_one() -> None:
    proto = model("(float[N, 5] x) => (float[] y, int64[] where) { y = MatMul(x, w) where = NonZero(y) }",
                  {"w": rand(5, 3)})  # fmt: skip
    x = np.maximum(rand(N, 5), 0)
    recorder = Recorder(proto, keep_outputs=True, batch_size=7)
    recorder.update(x)
    where = recorder.result().outputs["where"]
    assert [part.shape[0] for part in where] == [2] * 6
    assert sum(part.shape[1] for part in where) == session(proto).run(None, {"x": x})[1].shape[1]
