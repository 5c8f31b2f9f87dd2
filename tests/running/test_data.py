"""X in every form gives the same batches; what does not fit is refused with where, expected and got."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wua_onnx.errors import DataError
from wua_onnx.model import load
from wua_onnx.running import Data, InputSpec, input_specs

Array = np.ndarray[Any, Any]
FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


def specs(*inputs: tuple[str, int, list[Any] | None], batch_axis: int = 0) -> tuple[InputSpec, ...]:
    infos = [onnx.helper.make_tensor_value_info(*given) for given in inputs]
    nodes = [onnx.helper.make_node("Identity", [name], [f"{name}_out"]) for name, _, _ in inputs]
    outputs = [onnx.helper.make_tensor_value_info(f"{name}_out", kind, None) for name, kind, _ in inputs]
    graph = onnx.helper.make_graph(nodes, "g", infos, outputs)
    model = onnx.helper.make_model(graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 21)])
    return input_specs(load(model), batch_axis)


ONE = specs(("x", FLOAT, ["batch", 3]))
TWO = specs(("ids", INT64, ["batch", "seq"]), ("mask", FLOAT, ["batch", "seq"]))
X = np.arange(33, dtype=np.float32).reshape(11, 3)
Y = np.arange(11)
IDS, MASK = np.arange(55).reshape(11, 5), np.ones((11, 5), np.float32)


def joined(
    X: Any, specs: tuple[InputSpec, ...] = ONE, y: Any = None, size: int = 4
) -> tuple[list[int], dict[str, Array], Array | None]:
    """Return the sizes of the batches, and the arrays and labels put together again."""
    batches = list(Data(X, specs, y).batches(size))
    labels = [batch.labels for batch in batches if batch.labels is not None]
    arrays = {spec.name: np.concatenate([batch.feeds[spec.name] for batch in batches]) for spec in specs}
    return [batch.samples for batch in batches], arrays, np.concatenate(labels) if labels else None


def stream(*sizes: int) -> Iterator[Array]:
    at = 0
    for size in sizes:
        yield X[at : at + size]
        at += size


class Loader:
    """Like a DataLoader: can be iterated again and again, and yields lists [x, y]."""

    def __iter__(self) -> Iterator[list[Array]]:
        for at in range(0, 11, 5):
            yield [X[at : at + 5], Y[at : at + 5]]


PLAIN: dict[str, Callable[[], Any]] = {
    "array": lambda: X,
    "double precision": lambda: X.astype(np.float64),
    "half precision": lambda: X.astype(np.float16),
    "not contiguous": lambda: np.asfortranarray(X),
    "big-endian": lambda: X.astype(">f4"),
    "tuple": lambda: (X,),
    "mapping": lambda: {"x": X},
    "mapping under another name": lambda: {"images": X},
    "user's mapping": lambda: UserDict(x=X),
    "nested lists": lambda: X.tolist(),
    "list of batches": lambda: [X[:5], X[5:]],
    "list of tuples": lambda: [(X[:5],), (X[5:],)],
    "list of mappings": lambda: [{"x": X[:5]}, {"x": X[5:]}],
    "list of nested lists": lambda: [(X[:5].tolist(),), (X[5:].tolist(),)],
    "generator": lambda: stream(1, 1, 7, 2),
    "generator of single samples": lambda: stream(*[1] * 11),
}
LABELLED: dict[str, Callable[[], Any]] = {
    "tuple": lambda: (X, Y),
    "mapping with y": lambda: {"x": X, "y": Y},
    "mapping with labels": lambda: {"x": X, "labels": Y},
    "list of pairs": lambda: [(X[:5], Y[:5]), (X[5:], Y[5:])],
    "list of pairs as lists": lambda: [[X[:5], Y[:5]], [X[5:], Y[5:]]],
    "loader": Loader,
}


@pytest.mark.parametrize("form", PLAIN)
def test_every_form_gives_the_same_batches(form: str) -> None:
    sizes, arrays, labels = joined(PLAIN[form]())
    assert sizes == [4, 4, 3]
    assert arrays["x"].dtype == np.float32
    assert arrays["x"].dtype.isnative
    np.testing.assert_array_equal(arrays["x"], X)
    assert labels is None


@pytest.mark.parametrize("form", PLAIN)
def test_labels_of_their_own_go_with_every_form(form: str) -> None:
    _, arrays, labels = joined(PLAIN[form](), y=Y)
    np.testing.assert_array_equal(arrays["x"], X)
    np.testing.assert_array_equal(labels, Y)


@pytest.mark.parametrize("form", LABELLED)
def test_labels_come_with_the_data(form: str) -> None:
    sizes, arrays, labels = joined(LABELLED[form]())
    assert sizes == [4, 4, 3]
    np.testing.assert_array_equal(arrays["x"], X)
    np.testing.assert_array_equal(labels, Y)


def test_files(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", X)
    np.savez(tmp_path / "plain.npz", X=X)
    np.savez(tmp_path / "labelled.npz", x=X, label=Y)
    for name in ("X.npy", "plain.npz", "labelled.npz"):
        _, arrays, labels = joined(tmp_path / name)
        np.testing.assert_array_equal(arrays["x"], X)
        assert (labels is not None) == (name == "labelled.npz")
    np.testing.assert_array_equal(joined(str(tmp_path / "labelled.npz"))[2], Y)


def test_tensors() -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    given = torch.from_numpy(X)
    forms: list[Any] = [given, given.clone().requires_grad_(), given.bfloat16(), [given[:5], given[5:]], {"x": given}]
    for form in forms:
        np.testing.assert_array_equal(joined(form)[1]["x"], X)
    _, arrays, labels = joined(DataLoader(TensorDataset(given, torch.from_numpy(Y)), batch_size=3))
    np.testing.assert_array_equal(arrays["x"], X)
    np.testing.assert_array_equal(labels, Y)
    with pytest.raises(DataError, match="X: expected arrays, an iterable of batches or a path, got TensorDataset"):
        Data(TensorDataset(given), ONE)
    with pytest.raises(DataError, match=r"X: expected dense tensors, got one with the layout torch\.sparse_coo"):
        Data(given.to_sparse(), ONE)


def test_several_inputs() -> None:
    for form in ((IDS, MASK), {"mask": MASK, "ids": IDS}, [(IDS[:2], MASK[:2]), (IDS[2:], MASK[2:])]):
        sizes, arrays, labels = joined(form, TWO)
        assert sizes == [4, 4, 3]
        np.testing.assert_array_equal(arrays["ids"], IDS)
        np.testing.assert_array_equal(arrays["mask"], MASK)
        assert labels is None
    assert joined((IDS, MASK, Y), TWO)[2] is not None


@pytest.mark.parametrize(
    "block",
    [
        ({"mask": MASK, "ids": IDS}, Y),
        ({"mask": MASK, "ids": IDS},),
        ({"mask": MASK, "ids": IDS, "label": Y},),
        ((IDS, MASK), Y),
        ([IDS, MASK], Y),
        ((IDS, MASK),),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_inputs_may_stand_together_before_the_labels(block: Any, streamed: bool) -> None:
    """As in a tf.data.Dataset for Keras."""
    _, arrays, labels = joined([block] if streamed else block, TWO)
    np.testing.assert_array_equal(arrays["ids"], IDS)
    np.testing.assert_array_equal(arrays["mask"], MASK)
    inside = isinstance(block[0], dict) and "label" in block[0]
    assert (labels is not None) == (len(block) == 2 or inside)


def test_integers_of_other_widths_are_converted_where_they_fit() -> None:
    np.testing.assert_array_equal(joined((IDS.astype(np.uint8), MASK), TWO)[1]["ids"], IDS)
    narrow = specs(("x", onnx.TensorProto.UINT8, ["batch", 3]))
    np.testing.assert_array_equal(joined(X.astype(np.int64), narrow)[1]["x"], X)
    with pytest.raises(DataError, match="expected values that uint8 can hold, got 256"):
        joined(X.astype(np.int64) + 224, narrow)


def test_floats_that_overflow_are_refused() -> None:
    half = specs(("x", onnx.TensorProto.FLOAT16, ["batch", 3]))
    with pytest.raises(DataError, match=r"expected values that float16 can hold, got 100000\.0"):
        joined(np.where(X == 7, np.float32(1e5), X), half)
    assert np.isinf(joined(np.where(X == 7, np.inf, X))[1]["x"]).sum() == 1  # an infinity was there before


def test_inputs_without_samples_are_given_whole() -> None:
    mixed = specs(("x", FLOAT, ["batch", 3]), ("state", FLOAT, [2, 1, 5]), ("rate", INT64, []))
    assert [spec.sample_axis for spec in mixed] == [0, None, None]
    state, rate = np.ones((2, 1, 5), np.float32), np.array(16000)
    for batch in Data((X, state, rate), mixed).batches(4):
        np.testing.assert_array_equal(batch.feeds["state"], state)
        assert batch.feeds["rate"] == 16000


def test_where_samples_lie() -> None:
    assert [
        s.sample_axis for s in specs(("a", FLOAT, ["seq", "batch", 3]), ("b", FLOAT, ["batch", 3]), batch_axis=1)
    ] == [1, 0]
    assert [s.sample_axis for s in specs(("a", FLOAT, [8, 3]), ("b", FLOAT, [8, 2]), ("c", FLOAT, [5]))] == [0, 0, None]
    assert specs(("a", FLOAT, None))[0].sample_axis is None
    turned = specs(("x", FLOAT, [3, "batch"]), batch_axis=1)
    batches = list(Data(X.T, turned).batches(4))
    np.testing.assert_array_equal(np.concatenate([b.feeds["x"] for b in batches], axis=1), X.T)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 12), st.booleans())
def test_any_cut_gives_back_every_sample_once(blocks: list[int], size: int, fixed: bool) -> None:
    data = np.arange(sum(blocks) * 3, dtype=np.float32).reshape(-1, 3)
    parts = np.split(data, np.cumsum(blocks)[:-1])
    batches = list(Data(iter(parts), ONE).batches(size, fixed=fixed))
    taken = np.concatenate([batch.feeds["x"][: batch.samples] for batch in batches])
    np.testing.assert_array_equal(taken, data)
    assert all(batch.samples == size for batch in batches[:-1])
    if fixed:
        last = batches[-1].feeds["x"]
        assert all(len(batch.feeds["x"]) == size for batch in batches)
        np.testing.assert_array_equal(
            last[batches[-1].samples :], np.repeat(data[-1:], size - batches[-1].samples, axis=0)
        )


def test_blocks_of_other_sizes_are_not_joined() -> None:
    free = specs(("x", FLOAT, ["batch", "length"]))
    blocks = [np.ones((3, 5), np.float32), np.ones((2, 5), np.float32), np.ones((4, 7), np.float32)]
    assert [b.feeds["x"].shape for b in Data(blocks, free).batches(4)] == [(4, 5), (1, 5), (4, 7)]


def test_samples_are_known_before_only_for_whole_data() -> None:
    assert Data(X, ONE).samples == 11
    assert Data([X], ONE).samples is None
    assert Data(iter([X]), ONE).shapes == {"x": (11, 3)}


NAN = np.where(X == 16, np.nan, X)
SHOWN = r"input 'x' float32 \[batch, 3\]"
REFUSED: dict[str, tuple[Any, str]] = {
    "wrong rank": (np.ones(3, np.float32), SHOWN + r": expected that shape, got float32 \[3\]"),
    "wrong size": (np.ones((7, 5), np.float32), SHOWN + r": expected that shape, got float32 \[7, 5\]"),
    "integers": (X.astype(np.uint8), rf"{SHOWN}: .* got uint8 .*: convert it with \.astype\('float32'\), scaled"),
    "booleans": (X > 3, SHOWN + ": expected element type float32, got bool"),
    "complex": (X.astype(np.complex64), SHOWN + ": expected element type float32, got complex64"),
    "text": (np.array([["a"] * 3]), SHOWN + ": expected element type float32, got <U1"),
    "objects": ({"x": [object()] * 3}, "X: expected arrays of numbers, got list of other objects"),
    "uneven lists": ([[1.0, 2.0, 3.0], [4.0]], "X: expected arrays of numbers, got list: "),
    "wrong name": ({"x": X, "z": X}, rf"X: expected {SHOWN}, got \['x', 'z'\]"),
    "too many arrays": ((X, X, X), rf"X: expected 1 arrays \({SHOWN}\), got 3"),
    "no samples": (X[:0], SHOWN + r": expected at least one sample, got float32 \[0, 3\]"),
    "an empty list": ([], "X: expected at least one batch, got an empty iterator"),
    "an empty generator": (iter(()), "X: expected at least one batch, got an empty iterator"),
    "an empty batch": ([X, X[:0]], SHOWN + ": expected at least one sample"),
    "a number": (3.0, "X: expected arrays, an iterable of batches or a path, got float"),
    "NaN": (NAN, SHOWN + r", samples 4 to 8: expected numbers, got 1 NaN, the first at \[1, 1\]"),
    "no file": ("nowhere.npz", r"nowhere\.npz: expected a \.npy or \.npz file, got none"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case: str) -> None:
    given_data, message = REFUSED[case]
    with pytest.raises(DataError, match=message):
        joined(given_data)


def test_several_inputs_that_do_not_fit() -> None:
    with pytest.raises(
        DataError, match=r"X: expected the same number of samples in every input, got \{'ids': 11, 'mask': 7\}"
    ):
        joined((IDS, MASK[:7]), TWO)
    with pytest.raises(DataError, match=r"X: expected input 'ids' int64 \[batch, seq\], .* got \['ids', 'msk'\]"):
        joined({"ids": IDS, "msk": MASK}, TWO)
    with pytest.raises(DataError, match=r"X: expected 2 arrays .*, got 1"):
        joined(IDS, TWO)


@pytest.mark.parametrize("form", [X, [X[:5], X[5:]], (X,)])
@pytest.mark.parametrize("labels", [Y[:7], np.arange(13), np.array(3)])
def test_labels_that_do_not_fit(form: Any, labels: Array) -> None:
    with pytest.raises(DataError, match=r"y: expected one label for each of \d+ samples, got shape"):
        joined(form, y=labels)


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    (tmp_path / "X.npy").write_bytes(b"PK\x03\x04 no array")
    (tmp_path / "X.csv").write_text("1,2,3")
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name, message in (
        ("X.npy", "expected plain NumPy arrays"),
        ("X.csv", r"got \.csv: read it, and write it with numpy\.savez"),
        ("folder", "got a folder"),
        ("Y.npy", r"got none; did you mean X\.npy\?"),
        ("objects.npy", "expected plain NumPy"),
    ):
        with pytest.raises(DataError, match=message):
            Data(tmp_path / name, ONE)


def test_an_input_without_a_type_is_refused() -> None:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [onnx.ValueInfoProto(name="x")],
        [onnx.ValueInfoProto(name="y")],
    )
    model = onnx.helper.make_model(graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 21)])
    with pytest.raises(DataError, match="input 'x': expected a declared element type, got none"):
        input_specs(load(model))
