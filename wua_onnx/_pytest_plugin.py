"""The pytest plugin: a budget of a model in a test suite. It loads the package only when a test uses it.

def test_size(wua_budget):
wua_budget("model.onnx", max_flops="2G", max_params="5M")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from wua_onnx import CheckResult


class BudgetCheck(Protocol):
    """The function that the fixture `wua_budget` gives."""

    def __call__(self, model: Any = None, X: Any = None, **options: Any) -> CheckResult:
        """Compare a model with its budgets, as `wua_onnx.check` does; AssertionError with the table where one breaks.

        Without budgets among the options, those of `[tool.wua-onnx]` in `pyproject.toml` hold.
        """
        ...


@pytest.fixture
def wua_budget(request: pytest.FixtureRequest) -> BudgetCheck:
    """Give the function that fails a test where a model breaks a budget."""

    def check(model: Any = None, X: Any = None, **options: Any) -> CheckResult:
        __tracebackhide__ = True
        from wua_onnx._configured import check_configured

        result = check_configured(request.config.rootpath, model, X, **options)
        if not result.ok:
            raise AssertionError(str(result))
        return result

    return check
