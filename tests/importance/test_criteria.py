"""Criteria: values by hand, what they need, how they are registered."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from wua_onnx.errors import WuaError
from wua_onnx.importance import criterion, criterion_names, get

WEIGHT = np.array([[1.0, -2.0, 0.0], [-0.5, 4.0, -3.0]])


def test_names_begin_with_the_default() -> None:
    assert criterion_names()[:2] == ("activation", "magnitude")


@pytest.mark.parametrize("name", criterion_names())
def test_every_docstring_tells_source_and_invariance(name: str) -> None:
    found = get(name)
    assert found.name == name
    assert found.summary.endswith(".")
    text = found.rule.__doc__ or ""
    assert "Source:" in text
    assert "Invariant to:" in text


def test_magnitude_is_the_absolute_value() -> None:
    np.testing.assert_array_equal(get("magnitude")(WEIGHT, 0), [[1, 2, 0], [0.5, 4, 3]])


def test_activation_broadcasts_along_the_neuron_axis() -> None:
    activation = get("activation")
    by_row = activation(WEIGHT, 0, {"mean": np.array([10.0, 2.0])})
    np.testing.assert_array_equal(by_row, [[10, 20, 0], [1, 8, 6]])
    by_column = activation(WEIGHT, -1, {"mean": np.array([0.0, 1.0, 3.0])})
    np.testing.assert_array_equal(by_column, [[0, 2, 0], [0, 4, 9]])


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_activation_of_a_convolution_against_loops(axis: int) -> None:
    rng = np.random.default_rng(3)
    weight, mean = rng.standard_normal((2, 3, 5, 7)), rng.random((2, 3, 5, 7)[axis])
    scores = get("activation")(weight, axis, {"mean": mean})
    for index in np.ndindex(weight.shape):
        assert scores[index] == pytest.approx(abs(weight[index]) * mean[index[axis]], rel=1e-15)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.float16, np.float32),
        (ml_dtypes.bfloat16, np.float32),
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.int8, np.float32),
        (np.int32, np.float64),
    ],
)
@pytest.mark.parametrize("name", ["activation", "magnitude"])
def test_type_of_the_scores(name: str, given: Any, expected: type) -> None:
    weight = np.array([[-128, 3], [5, -7]]).astype(given)
    scores = get(name)(weight, 0, {"mean": np.array([1.0, 0.5])})
    assert scores.dtype == expected
    assert scores[0, 0] == 128
    assert weight[0, 0] == -128


@pytest.mark.parametrize("factor", [1e-30, 1e38])
def test_scores_beyond_float32_are_kept_in_float64(factor: float) -> None:
    weight = np.full((2, 3), factor, dtype=np.float32)
    scores = get("activation")(weight, 0, {"mean": np.array([factor, 2 * factor])})
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, np.outer([1, 2], np.ones(3)) * factor**2, rtol=1e-6)


def test_float32_scores_agree_with_float64_to_one_rounding() -> None:
    rng = np.random.default_rng(11)
    weight, mean = rng.standard_normal((17, 101)).astype(np.float32), rng.random(17)
    narrow = get("activation")(weight, 0, {"mean": mean})
    wide = get("activation")(weight.astype(np.float64), 0, {"mean": mean})
    np.testing.assert_allclose(narrow, wide, rtol=1.3e-7)


def test_not_finite_values_pass_through() -> None:
    weight = np.array([[np.nan, np.inf, 1.0]], dtype=np.float32)
    assert np.isfinite(get("magnitude")(weight, 0)).tolist() == [[False, False, True]]
    scores = get("activation")(weight, 1, {"mean": np.array([1.0, 0.0, np.nan])})
    assert np.isnan(scores).all()


def test_an_empty_weight_has_empty_scores() -> None:
    weight = np.zeros((0, 3), dtype=np.float32)
    assert get("activation")(weight, 0, {"mean": np.zeros(0)}).shape == (0, 3)


@pytest.mark.parametrize(
    ("axis", "statistics", "message"),
    [
        (0, {}, "'activation'.*'mean'.*got nothing"),
        (0, {"rms": np.ones(2)}, "'mean'.*got rms"),
        (0, {"mean": np.ones(3)}, r"shape \(2,\), got \(3,\)"),
        (0, {"mean": np.ones((2, 1))}, r"shape \(2,\), got \(2, 1\)"),
        (2, {"mean": np.ones(2)}, r"shape \(2, 3\), got 2"),
    ],
)
def test_what_does_not_fit_is_named(axis: int, statistics: dict[str, Any], message: str) -> None:
    with pytest.raises(WuaError, match=message):
        get("activation")(WEIGHT, axis, statistics)


def test_complex_weights_are_refused() -> None:
    with pytest.raises(WuaError, match="complex128"):
        get("magnitude")(np.array([1j]), 0)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(WuaError, match=r"activation, magnitude.*got 'magnitud'"):
        get("magnitud")


def test_a_duplicate_is_refused() -> None:
    known = get("magnitude")
    with pytest.raises(WuaError, match="'magnitude'"):
        criterion("magnitude")(lambda weight, axis, statistics: weight)
    assert get("magnitude") is known
