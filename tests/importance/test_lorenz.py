import numpy as np
import pytest

from wua_onnx.importance.measured import LORENZ_STEPS, lorenz
from wua_onnx.importance.ranking import rank


def counted(values: list[float], share: float) -> int:
    """How many of the largest it takes, by adding them up one by one."""
    total, taken = sum(values), 0.0
    for count, value in enumerate(sorted(values, reverse=True), start=1):
        taken += value
        if taken >= share * total * (1 - 1e-9):
            return count
    return len(values)


@pytest.mark.parametrize("size", [1, 7, 97, 8193])
def test_points_are_what_adding_up_says(size: int) -> None:
    values = np.random.default_rng(size).lognormal(size=size)
    found = lorenz(rank(values))
    assert len(found) == LORENZ_STEPS + 1
    expected = [counted(values.tolist(), step / LORENZ_STEPS) / size for step in range(1, LORENZ_STEPS)]
    assert found == pytest.approx([0.0, *expected, 1.0])


def test_weights_of_no_importance_hold_nothing() -> None:
    assert lorenz(rank(np.array([0.0, 0.0, 0.0, 5.0, 5.0])))[-1] == 0.4


def test_a_dead_layer_has_no_curve() -> None:
    assert lorenz(rank(np.zeros(7))) == ()


def test_the_area_below_the_curve_is_that_of_the_gini_coefficient() -> None:
    values = np.random.default_rng(7).lognormal(size=10_007)
    shares = np.array(lorenz(rank(values)))
    x, y = 1 - shares[::-1], 1 - np.linspace(0, 1, shares.size)[::-1]
    gini = np.abs(values[:2000, None] - values[None, :2000]).mean() / (2 * values[:2000].mean())
    assert 1 - 2 * np.trapezoid(y, x) == pytest.approx(gini, abs=0.03)
