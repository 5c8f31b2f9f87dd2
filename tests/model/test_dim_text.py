"""Reading dimensions: what shapes are made of is understood, anything else is refused, quickly."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.steps import steps
from wua_onnx.model import dims as d
from wua_onnx.model.dim_text import NotADimension, parse
from wua_onnx.model.dims import Dim

KNOWN: dict[str, Dim] = {"batch": d.symbol("d0"), "seq": d.symbol("d1")}
AT = {"d0": 7, "d1": 13}

MEANINGS = [
    ("2*seq", 26),
    ("batch*seq + 1", 92),
    ("seq//2", 6),
    ("floor(seq/2)", 6),
    ("floor(seq/2 - 1/2)", 6),
    ("ceiling(seq/2)", 7),
    ("Max(1, batch)", 7),
    ("Min(seq, 512)", 13),
    ("Mod(seq, 4)", 1),
    ("seq % 4", 1),
    ("-seq + 20", 7),
    ("seq**2", 169),
    ("2*batch*seq/batch", 26),
    ("((seq))", 13),
    (" 5 ", 5),
]


@pytest.mark.parametrize(("text", "value"), MEANINGS)
def test_expressions(text: str, value: int) -> None:
    assert d.evaluate(parse(text, KNOWN), AT) == value


HOSTILE = [
    "9**9**9",
    "2**(2**70)",
    "seq**9",
    "seq**-1",
    "a b",
    "batch-size",
    "unknown",
    "__import__('os').system('true')",
    "(lambda: 1)()",
    "batch.__class__",
    "batch[0]",
    "[batch]",
    "1 if batch else 2",
    "batch and seq",
    "batch < seq",
    "seq/batch",
    "seq//0",
    "seq%0",
    "seq/0",
    "floor(seq/0)",
    "Mod(seq, 0)",
    "floor()",
    "floor(x=1)",
    "Max()",
    "Max(*batch)",
    "eval('1')",
    "1e400",
    "1.5",
    "True",
    "None",
    "'seq'",
    "f'{seq}'",
    "99999999999999999999999999999999",
    "",
    "   ",
    "\x00",
    "seq\nseq",
    "(" * 300,
    "-" * 399 + "1",
    "seq+" * 2500 + "seq",
    "x" * 10_000,
    "é",
    "_" * 400,
]


def attempted(text: str) -> None:
    with contextlib.suppress(NotADimension):
        parse(text, KNOWN)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:20]))
def test_anything_else_is_refused(text: str) -> None:
    if text == "-" * 399 + "1":
        assert parse(text, KNOWN) == -1  # deep, and bounded by the length
    else:
        with pytest.raises(NotADimension):
            parse(text, KNOWN)
    assert steps(lambda: attempted(text)) < 100 * (len(text) + 10)


@given(st.text(alphabet="batchseq0123456789+-*/%(), .max_", max_size=60))
def test_random_text_gives_a_dimension_or_a_refusal(text: str) -> None:
    try:
        result = parse(text, KNOWN)
    except NotADimension:
        return
    assert isinstance(result, int | d.Expr)


LEAVES: st.SearchStrategy[Dim] = st.integers(0, 99) | st.sampled_from(list(KNOWN.values()))


@given(
    st.recursive(
        LEAVES,
        lambda inner: (
            st.builds(lambda x, y: x + y, inner, inner)
            | st.builds(lambda x, y: x * y, inner, inner)
            | st.builds(lambda x, n: d.floordiv(x, n), inner, st.integers(1, 9))
            | st.builds(d.maximum, inner, inner)
        ),
        max_leaves=5,
    )
)
def test_what_is_printed_is_read_back(dim: Dim) -> None:
    printed = d.text(dim, {"d0": "batch", "d1": "seq"})
    if len(printed) <= 400:
        assert d.evaluate(parse(printed, KNOWN), AT) == d.evaluate(dim, AT)
