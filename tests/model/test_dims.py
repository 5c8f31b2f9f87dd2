"""The algebra of dimensions against SymPy and against plain integers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from wua_onnx.model import dims as d
from wua_onnx.model.dim_json import from_json, to_json
from wua_onnx.model.dims import Dim

NAMES = ("a", "b", "c")
VALUES = st.fixed_dictionaries({name: st.integers(1, 40) for name in NAMES})


def _call(function: Callable[..., Dim], *arguments: st.SearchStrategy[Dim]) -> st.SearchStrategy[Dim]:
    return st.builds(function, *arguments)


def _bigger(inner: st.SearchStrategy[Dim]) -> st.SearchStrategy[Dim]:
    divisors = st.integers(1, 9) | st.sampled_from([d.symbol(name) for name in NAMES])
    return st.one_of(
        _call(lambda x, y: x + y, inner, inner),
        _call(lambda x, y: x - y, inner, inner),
        _call(lambda x, y: x * y, inner, inner),
        _call(d.floordiv, inner, divisors),
        _call(d.ceildiv, inner, divisors),
        _call(d.maximum, inner, inner),
        _call(d.minimum, inner, inner),
    )


LEAVES: st.SearchStrategy[Dim] = st.integers(-5, 30) | st.sampled_from([d.symbol(name) for name in NAMES])
DIMS = st.recursive(LEAVES, _bigger, max_leaves=6)

OPERATIONS: dict[str, tuple[Callable[[Dim, Dim], Dim], Callable[[int, int], int]]] = {
    "+": (lambda x, y: x + y, lambda x, y: x + y),
    "-": (lambda x, y: x - y, lambda x, y: x - y),
    "*": (lambda x, y: x * y, lambda x, y: x * y),
    "max": (d.maximum, max),
    "min": (d.minimum, min),
}


@pytest.mark.parametrize("name", OPERATIONS)
@given(x=DIMS, y=DIMS, values=VALUES)
def test_operations_on_expressions_are_those_on_their_values(name: str, x: Dim, y: Dim, values: dict[str, int]) -> None:
    symbolic, plain = OPERATIONS[name]
    expected = plain(d.evaluate(x, values), d.evaluate(y, values))
    assert d.evaluate(symbolic(x, y), values) == expected


@given(x=DIMS, divisor=st.integers(1, 9) | st.sampled_from([d.symbol("a"), 2 * d.symbol("b")]), values=VALUES)
def test_divisions_round_down_and_up(x: Dim, divisor: Dim, values: dict[str, int]) -> None:
    top, bottom = d.evaluate(x, values), d.evaluate(divisor, values)
    assert d.evaluate(d.floordiv(x, divisor), values) == top // bottom
    assert d.evaluate(d.ceildiv(x, divisor), values) == -(-top // bottom)
    exact = d.divides(divisor, x)
    if exact is not None:
        assert d.evaluate(exact, values) * bottom == top


@settings(deadline=None, max_examples=40)
@given(x=DIMS, values=VALUES)
def test_sympy_agrees(x: Dim, values: dict[str, int]) -> None:
    expression = d.to_sympy(x)
    if isinstance(expression, int):
        assert expression == d.evaluate(x, values)
        return
    symbols = {sympy.Symbol(name, integer=True, positive=True): value for name, value in values.items()}
    assert int(expression.subs(symbols)) == d.evaluate(x, values)


@given(x=DIMS)
def test_json_gives_the_same_back(x: Dim) -> None:
    assert from_json(to_json(x)) == x


@given(x=DIMS, values=VALUES, first=st.sampled_from(NAMES))
def test_substitution_in_two_steps_is_one(x: Dim, values: dict[str, int], first: str) -> None:
    partly = d.substitute(x, {first: values[first]})
    assert first not in d.symbols(partly)
    assert d.evaluate(partly, values) == d.evaluate(x, values)


@given(dims=st.lists(DIMS, max_size=5), values=VALUES)
def test_total_and_product(dims: list[Dim], values: dict[str, int]) -> None:
    plain = [d.evaluate(dim, values) for dim in dims]
    times = 1
    for value in plain:
        times *= value
    assert d.evaluate(d.total(dims), values) == sum(plain)
    assert d.evaluate(d.product(dims), values) == times


def test_results_that_are_plain_integers_are_int() -> None:
    a = d.symbol("a")
    for result in (a - a, a * 0, d.floordiv(6 * a, 2 * a), d.total([a, -1 * a, 5])):
        assert type(result) is int


def test_equal_polynomials_are_equal_values() -> None:
    a, b = d.symbol("a"), d.symbol("b")
    left, right = (a + b) * (a - b), a * a - b * b
    assert left == right
    assert hash(left) == hash(right)
    assert left != a


def test_text() -> None:
    a, b = d.symbol("d0"), d.symbol("d1")
    names = {"d0": "batch", "d1": "seq"}
    assert d.text(3 * a * b * b - b + 2, names) == "3*batch*seq**2 - seq + 2"
    assert d.text(d.floordiv(a + 1, 2), names) == "floor((batch + 1)/(2))"
    assert d.text(d.maximum(a, 5, 7), names) == "max(batch, 7)"


def test_a_big_product_stays_exact() -> None:
    big = d.symbol("a") * 10**30 + 1
    assert d.evaluate(big, {"a": 3}) == 3 * 10**30 + 1
    assert to_json(2**53 + 1) == str(2**53 + 1)
    assert from_json(to_json(2**53 + 1)) == 2**53 + 1


def test_division_by_zero_is_refused() -> None:
    with pytest.raises(ZeroDivisionError):
        d.floordiv(d.symbol("a"), 0)


def test_evaluation_needs_every_symbol() -> None:
    with pytest.raises(ValueError, match=r"a: expected a value for every symbol"):
        d.evaluate(d.symbol("a"), {"b": 3})
