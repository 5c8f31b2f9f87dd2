"""Metrics against brute force in exact or compensated arithmetic, and what must hold of any layer."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wua_onnx.errors import WuaError
from wua_onnx.importance import LayerMetrics, layer_metrics, neuron_importance, rank

CONTINUOUS = (
    "entropy",
    "between_neurons",
    "within_neurons",
    "normalized_entropy",
    "effective",
    "utilization",
    "redundancy",
    "gini",
)
COUNTED = ("sparsity", "relative_sparsity", "coverage")


def entropy_of(values: list[float]) -> float:
    total = math.fsum(values)
    return -math.fsum(v / total * math.log(v / total) for v in values if v / total > 0)


def brute_force(groups: list[list[float]]) -> dict[str, Any]:
    """The definitions word by word; one list of importances per neuron."""
    values = [v for group in groups for v in group]
    n, total, exact = len(values), math.fsum(values), sum(map(Fraction, values))
    entropy = entropy_of(values)
    sums = [math.fsum(group) for group in groups]
    reference = float(np.percentile(values, 99.9))

    def covering(share: float) -> float:
        reached, need = Fraction(0), Fraction(share) * exact * (1 - Fraction(1, 10**12))
        for count, value in enumerate(sorted(values, reverse=True), 1):
            reached += Fraction(value)
            if reached >= need:
                return count / n
        raise AssertionError

    return {
        "total": n,
        "sum": total,
        "entropy": entropy,
        "between_neurons": entropy_of(sums),
        "within_neurons": math.fsum(s / total * entropy_of(g) for s, g in zip(sums, groups, strict=True) if s),
        "effective": math.exp(entropy),
        "utilization": math.exp(entropy) / n,
        "normalized_entropy": entropy / math.log(n),
        "redundancy": 1 - entropy / math.log(n),
        "gini": math.fsum(abs(a - b) for a in values for b in values) / (2 * n * total),
        "sparsity": {t: sum(v < t for v in values) / n for t in (1e-2, 1e-3)},
        "relative_sparsity": {t: sum(v < t * reference for v in values) / n for t in (1e-2, 1e-3)},
        "coverage": {c: covering(c) for c in (0.5, 0.8, 0.9)},
    }


def groups_of(importance: Any, axis: int) -> list[list[float]]:
    moved = np.moveaxis(np.asarray(importance, dtype=np.float64), axis, 0)
    return [group.ravel().tolist() for group in moved]


def assert_agrees(metrics: LayerMetrics, expected: dict[str, Any], tolerance: float = 1e-12) -> None:
    for name, value in expected.items():
        found = getattr(metrics, name)
        if name in COUNTED:
            assert found == value, name
        else:
            assert found == pytest.approx(value, rel=tolerance, abs=tolerance), name


def layers(low: float, high: float) -> st.SearchStrategy[Any]:
    """Two-dimensional importances with zeros among them and at least one that is not."""
    value = st.one_of(st.just(0.0), st.floats(low, high), st.sampled_from([low, high]))
    shape = st.tuples(st.sampled_from([1, 2, 3, 7]), st.sampled_from([2, 3, 5, 11]))
    lists = shape.flatmap(
        lambda s: st.lists(value, min_size=s[0] * s[1], max_size=s[0] * s[1]).map(lambda v: np.array(v).reshape(s))
    )
    return lists.filter(lambda a: bool(a.any()))


@pytest.mark.parametrize(
    ("shape", "axis"), [((1, 2), 0), ((13, 7), 0), ((13, 7), 1), ((5, 3, 2, 7), 0), ((3, 11, 5), 1), ((37,), 0)]
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_against_brute_force(shape: tuple[int, ...], axis: int, dtype: Any) -> None:
    rng = np.random.default_rng(math.prod(shape))
    importance = (rng.random(shape) ** 5 * (rng.random(shape) > 0.2) + 1e-3 * (rng.random(shape) > 0.5)).astype(dtype)
    assert_agrees(layer_metrics(importance, axis), brute_force(groups_of(importance, axis)))


def test_against_brute_force_over_many_chunks() -> None:
    """24,593 values: what is summed in blocks of 8,192 is joined rightly at their borders."""
    importance = np.random.default_rng(1).exponential(size=(24593, 1)).astype(np.float32)
    values = sorted(importance.ravel().tolist())
    metrics = layer_metrics(importance, 0)
    assert metrics.entropy == pytest.approx(entropy_of(values), rel=1e-13)
    weighted = math.fsum(i * v for i, v in enumerate(values, 1))
    n, total = len(values), math.fsum(values)
    assert metrics.gini == pytest.approx(2 * weighted / (n * total) - (n + 1) / n, rel=1e-12)
    descending = np.cumsum([Fraction(v) for v in reversed(values)])
    for share, found in metrics.coverage.items():
        enough = descending >= Fraction(share) * descending[-1] * (1 - Fraction(1, 10**12))
        assert round(found * n) == int(np.argmax(enough)) + 1


@pytest.mark.parametrize("size", [8191, 8192, 8193, 16384])
def test_coverage_of_equal_importances_at_the_border_of_chunks(size: int) -> None:
    metrics = layer_metrics(np.full((size, 1), 0.3, dtype=np.float32), 0)
    assert metrics.coverage == {c: math.ceil(c * size * (1 - 1e-12)) / size for c in (0.5, 0.8, 0.9)}


@pytest.mark.parametrize(
    ("share", "parts", "count"),
    [(0.5, [17, 20, 13, 11, 12, 9, 8, 10], 3), (0.8, [29, 31, 20, 7, 6, 4, 3], 3), (0.9, [31, 29, 30, 4, 3, 2, 1], 3)],
)
def test_coverage_of_exact_shares_does_not_depend_on_rounding(share: float, parts: list[int], count: int) -> None:
    for unit in range(1, 200):
        metrics = layer_metrics(np.array(parts) * (unit / 7), 0)
        assert metrics.coverage[share] == count / len(parts)


@settings(deadline=None)
@given(layers(1e-6, 1e6), st.integers(0, 1))
def test_any_layer_agrees_with_brute_force(importance: Any, axis: int) -> None:
    assert_agrees(layer_metrics(importance, axis), brute_force(groups_of(importance, axis)), 1e-11)


@settings(deadline=None)
@given(layers(5e-324, 1.7e308), st.integers(0, 1))
def test_bounds(importance: Any, axis: int) -> None:
    m, n = layer_metrics(importance, axis), importance.size
    assert 0 <= m.entropy <= math.log(n)
    assert 0 <= m.between_neurons <= math.log(importance.shape[axis]) + 1e-12
    assert m.within_neurons >= 0
    assert m.between_neurons + m.within_neurons == pytest.approx(m.entropy, abs=1e-14)
    assert 1 <= m.effective <= n
    assert m.effective == pytest.approx(math.exp(m.entropy), rel=1e-12)
    assert m.utilization == m.effective / n
    assert 0 <= m.normalized_entropy <= 1
    assert m.redundancy == 1 - m.normalized_entropy
    assert 0 <= m.gini <= 1 - 1 / n
    assert 0 <= m.sparsity[1e-3] <= m.sparsity[1e-2] <= 1
    assert 0 <= m.relative_sparsity[1e-3] <= m.relative_sparsity[1e-2] < 1
    assert 0 < m.coverage[0.5] <= m.coverage[0.8] <= m.coverage[0.9] <= 1
    assert all(m.coverage[c] <= math.ceil(c * n) / n for c in m.coverage)


@settings(deadline=None)
@given(layers(1e-6, 1e6), st.randoms(use_true_random=False))
def test_permutations_change_nothing(importance: Any, random: Any) -> None:
    """Weights within a neuron and neurons among themselves may change places; across neurons only H stays."""
    before = layer_metrics(importance, 0)
    rows = [random.sample(row, len(row)) for row in importance.tolist()]
    after = layer_metrics(np.array(random.sample(rows, len(rows))), 0)
    assert_agrees(after, {name: getattr(before, name) for name in (*CONTINUOUS, *COUNTED, "total", "sum")})
    mixed = np.array(random.sample(importance.ravel().tolist(), importance.size)).reshape(importance.shape)
    assert layer_metrics(mixed, 0).entropy == before.entropy


@settings(deadline=None)
@given(layers(1e-6, 1e6), st.floats(1e-290, 1e290), st.integers(-900, 900))
def test_scale_changes_only_what_says_so(importance: Any, factor: float, exponent: int) -> None:
    before = layer_metrics(importance, 1)
    scaled = layer_metrics(importance * factor, 1)
    assert_agrees(scaled, {name: getattr(before, name) for name in CONTINUOUS})
    exact = layer_metrics(np.ldexp(importance, exponent), 1)
    assert_agrees(exact, {name: getattr(before, name) for name in (*CONTINUOUS, "relative_sparsity", "coverage")})


@settings(deadline=None)
@given(layers(1e-6, 1e6))
def test_the_split_does_not_move_the_entropy(importance: Any) -> None:
    rows, columns = layer_metrics(importance, 0), layer_metrics(importance, 1)
    assert rows.entropy == columns.entropy
    assert rows.between_neurons <= rows.entropy
    single = layer_metrics(importance.reshape(-1), 0)
    assert single.between_neurons == pytest.approx(single.entropy, abs=1e-12)


@pytest.mark.parametrize("value", [5e-324, 1e-310, 1e-200, 1e200, 1.7e308])
def test_extreme_scales(value: float) -> None:
    metrics = layer_metrics(np.array([[value, value, 0.0], [value, 0.0, value]]), 0)
    assert metrics.effective == 4
    assert metrics.gini == pytest.approx(1 / 3, abs=1e-15)
    assert metrics.between_neurons == pytest.approx(math.log(2), rel=1e-15)
    assert metrics.coverage == {0.5: 2 / 6, 0.8: 4 / 6, 0.9: 4 / 6}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_not_finite_values_are_counted_and_left_out(dtype: Any) -> None:
    dirty = np.array([[0.5, np.nan, 2.0], [np.inf, 0.25, -np.inf], [np.nan, np.nan, 0.0]]).astype(dtype)
    metrics = layer_metrics(dirty, 0)
    assert (metrics.total, metrics.non_finite) == (9, 5)
    assert_agrees(metrics, brute_force([[0.5, 2.0], [0.25], [0.0]]) | {"total": 9})


def test_infinite_beside_huge_values() -> None:
    metrics = layer_metrics(np.array([[1e300, np.inf], [1e300, np.nan]]), 0)
    assert metrics.effective == 2
    assert metrics.between_neurons == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    "importance",
    [np.zeros((3, 5)), np.zeros((0, 5)), np.zeros((3, 0), np.float32), np.full((2, 2), np.nan), -np.zeros((2, 3))],
)
def test_dead_layers(importance: Any) -> None:
    metrics = layer_metrics(importance, 0)
    assert metrics.total == importance.size
    for name in ("sum", "entropy", "between_neurons", "within_neurons", "effective", "utilization", "gini"):
        assert getattr(metrics, name) == 0, name
    assert (metrics.normalized_entropy, metrics.redundancy) == (0, 1)
    assert metrics.sparsity == metrics.relative_sparsity == {1e-2: 1, 1e-3: 1}
    assert metrics.coverage == {0.5: 0, 0.8: 0, 0.9: 0}


def test_one_weight() -> None:
    metrics = layer_metrics(np.array([[0.005]]), 0)
    assert (metrics.entropy, metrics.effective, metrics.utilization, metrics.gini) == (0, 1, 1, 0)
    assert (metrics.normalized_entropy, metrics.redundancy) == (1, 0)
    assert metrics.sparsity == {1e-2: 1, 1e-3: 0}
    assert metrics.coverage == {0.5: 1, 0.8: 1, 0.9: 1}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_many_thresholds_are_compared_as_one_is(dtype: Any) -> None:
    values = (np.random.default_rng(3).random(997) * 7).astype(dtype)
    thresholds = np.array([0.0, 1e-300, float(values[5]), np.nextafter(float(values[5]), 9), 3.3, 6.99, 7.5, 1e300])
    found = rank(values).counts_below(thresholds)
    assert found.tolist() == [sum(float(value) < threshold for value in values) for threshold in thresholds]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_thresholds_are_compared_in_float64(dtype: Any) -> None:
    """float32(0.01) is below 0.01, float32(0.001) above 0.001, and the next number is on the other side."""
    at = np.array([[dtype(0.01), np.nextafter(dtype(0.01), dtype(1)), dtype(0.001), 0.5]], dtype=dtype)
    expected = {t: sum(float(v) < t for v in at.ravel()) / 4 for t in (1e-2, 1e-3)}
    assert layer_metrics(at, 0).sparsity == expected


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.T,
        lambda a: a[::2],
        lambda a: a[:, ::-1],
        lambda a: np.asfortranarray(a),
        lambda a: np.broadcast_to(a[:1], (5, a.shape[1])),
        lambda a: a.astype(">f4"),
    ],
)
def test_memory_layout_does_not_matter(view: Any) -> None:
    importance = np.random.default_rng(2).random((11, 13)).astype(np.float32)
    other = view(importance)
    kept = other.copy()
    for axis in (0, 1):
        plain = layer_metrics(np.array(other, dtype=np.float32, order="C"), axis)
        assert_agrees(layer_metrics(other, axis), {n: getattr(plain, n) for n in (*CONTINUOUS, *COUNTED, "sum")})
    np.testing.assert_array_equal(other, kept)


def test_neurons_that_are_negligible_beside_others() -> None:
    metrics = layer_metrics(np.array([[5e-324, 0.0], [1e308, 1e308]]), 0)
    assert metrics.between_neurons == 0
    assert metrics.within_neurons == pytest.approx(math.log(2))


def test_read_only_input_and_a_shared_ranking() -> None:
    importance = np.random.default_rng(4).random((3, 7))
    importance.flags.writeable = False
    assert layer_metrics(importance, 0, ranking=rank(importance)) == layer_metrics(importance, 0)


def test_neuron_importance() -> None:
    importance = np.array([[1.0, np.nan, 3.0], [np.inf, 0.5, 0.0]], dtype=np.float32)
    np.testing.assert_array_equal(neuron_importance(importance, 0), [4, 0.5])
    np.testing.assert_array_equal(neuron_importance(importance, -1), [1, 0.5, 3])
    tall = np.full((5003, 2), 0.1)
    np.testing.assert_allclose(neuron_importance(tall, 1), math.fsum(tall[:, 0]), rtol=1e-13)


@pytest.mark.parametrize(
    ("importance", "axis", "message"),
    [
        (np.ones((2, 3)), 2, r"shape \(2, 3\), got 2"),
        (np.ones(()), 0, r"shape \(\), got 0"),
        (np.array([1.0, -0.5]), 0, "got -0.5"),
        (np.array([1j]), 0, "complex128"),
        (np.array(["a"]), 0, "<U1"),
    ],
)
def test_what_does_not_fit_is_named(importance: Any, axis: int, message: str) -> None:
    with pytest.raises(WuaError, match=message):
        layer_metrics(importance, axis)
