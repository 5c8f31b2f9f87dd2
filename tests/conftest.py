"""What several rooms' tests share: golden files, rewritten by `pytest --overwrite`, onnx's node cases, settings."""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The usual build of torch imports Triton late, and Triton crashes where TensorFlow 2.20 or 2.21 has been loaded before.
with contextlib.suppress(ImportError):
    importlib.import_module("triton")

# The same examples in every run, however slow the machine is at that moment; to look for others:
# pytest --hypothesis-profile default --hypothesis-seed 7
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--overwrite", action="store_true", help="write the golden files anew instead of comparing")


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported, 700,000 objects in the whole suite, on each of its rounds."""
    gc.freeze()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return `check(name, text)`, which compares `text` with `golden/<name>` beside the test's file."""

    def check(name: str, text: str) -> None:
        file = request.path.parent / "golden" / name
        if request.config.getoption("--overwrite"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert text == file.read_text(encoding="utf-8"), f"{name} differs: look at it, then pytest --overwrite"

    return check


@pytest.fixture(scope="session", autouse=True)
def _operators_of_torch_are_read_once() -> Iterator[None]:
    """Give each export a copy of the same table of operators.

    PyTorch's exporter reads the sources of 500 functions for that table, half of the time that a small export takes.
    """
    if "torch" not in sys.modules:  # none of the tests that run needs it
        yield
        return
    table = importlib.import_module("torch.onnx._internal.exporter._registration").ONNXRegistry
    read = functools.cache(table.from_torchlib)

    def copied(*settings: Any, **named: Any) -> Any:
        made = copy.copy(read(*settings, **named))
        made.functions = {name: list(found) for name, found in made.functions.items()}
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "from_torchlib", staticmethod(copied))
        yield


@pytest.fixture(scope="session")
def every_case() -> list[Any]:
    """Return the cases that onnx itself tests its operators with: all that have a model."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():  # the cases divide by 0 and overflow on purpose
        warnings.simplefilter("ignore")
        return [case for case in collect_testcases(None) if case.model is not None]
