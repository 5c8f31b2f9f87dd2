"""What goes between the processes comes out as it went in."""

from __future__ import annotations

import io
import struct
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wua_onnx.running.messages import Message, receive, send

dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?"),
    hnp.complex_number_dtypes(endianness="?"),
    hnp.unicode_string_dtypes(max_len=5),
)
arrays = dtypes.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=5)))
fields = st.dictionaries(st.text(), st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.text())))


def through(message: Message) -> tuple[Message, io.BytesIO]:
    stream = io.BytesIO()
    send(stream, message)
    stream.seek(0)
    return receive(stream), stream


@given(fields, st.dictionaries(st.text(), arrays, max_size=4), st.binary())
def test_round_trip(small: dict[str, Any], big: dict[str, Any], binary: bytes) -> None:
    got, stream = through(Message(small, big, binary))
    assert (got.fields, got.binary) == (small, binary)
    assert list(got.arrays) == list(big)
    for name, array in big.items():
        assert (got.arrays[name].dtype, got.arrays[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(got.arrays[name], array)
    assert stream.read() == b""


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.int4])
def test_types_that_numpy_does_not_know(dtype: Any) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    got, _ = through(Message(arrays={"a": array}))
    assert got.arrays["a"].dtype == dtype
    np.testing.assert_array_equal(got.arrays["a"], array)


def test_slices_and_transposes() -> None:
    array = np.arange(60).reshape(3, 4, 5)[:, ::-2].T
    np.testing.assert_array_equal(through(Message(arrays={"a": array}))[0].arrays["a"], array)


@given(st.data())
def test_a_stream_that_ends_early_is_at_its_end(data: st.DataObject) -> None:
    stream = io.BytesIO()
    send(stream, Message({"do": "run"}, {"a": np.arange(7)}, b"more"))
    whole = stream.getvalue()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(EOFError, match="the stream ended inside a message"):
        receive(io.BytesIO(whole[:cut]))


def test_a_header_too_long_to_be_true() -> None:
    with pytest.raises(ValueError, match="header: expected at most"):
        receive(io.BytesIO(struct.pack(">Q", 2**40) + b"x" * 100))


@pytest.mark.parametrize("array", [np.array([{}], dtype=object), np.zeros(2, dtype=[("a", "f4")])])
def test_objects_are_not_sent(array: Any) -> None:
    stream = io.BytesIO()
    with pytest.raises(TypeError, match="array 'a': expected numbers"):
        send(stream, Message(arrays={"a": array}))
    assert stream.getvalue() == b""
