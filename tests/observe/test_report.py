"""Profiles in the terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import pytest
from rich.console import Console

from wua_onnx.report.profile import print_profile, rate, time

from .replay import profile


def printed(data: Any, width: int = 140, by: Literal["operator", "node"] = "operator") -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    print_profile(data, console, by=by)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def sample(name: str) -> dict[str, Any]:
    return replace(profile(name), machine="a processor", version="1.31.1", latency=123e-6, threads=2).to_dict()


@pytest.mark.parametrize("by", ["operator", "node"])
@pytest.mark.parametrize("name", ["convolutions", "fusions"])
def test_tables(name: str, by: Literal["operator", "node"], golden: Callable[[str, str], None]) -> None:
    golden(f"{name}_{by}.txt", printed(sample(name), by=by))


def test_narrow_tables_fit() -> None:
    assert max(map(len, printed(sample("fusions"), width=80).splitlines())) <= 80


def test_what_was_measured_is_labelled() -> None:
    text = printed(sample("fusions"))
    for label in ("batch 5", "2 threads", "cpu", "a processor", "onnxruntime 1.31.1", "random inputs", "wall-clock"):
        assert label in text


def test_a_run_much_longer_than_its_kernels_is_remarked() -> None:
    quiet, busy = sample("loop"), sample("loop")
    quiet["latency"], busy["latency"] = quiet["total"], 3 * busy["total"]
    assert "busy" not in printed(quiet)
    assert "A run takes 3.0 times as long as its kernels" in printed(busy)


def test_an_error_is_said_and_its_text_is_made_safe() -> None:
    assert (
        printed({"error": "cannot\x1b[31m [red]load"}).splitlines()[-1] == r"not measured: cannot\u001b[31m [red]load"
    )


def test_names_of_a_model_are_made_safe() -> None:
    data = sample("fusions")
    for part in (*data["timed"], *data["absent"], *data["unattributed"]):
        part["name"] = "safe\u202egnp.exe [red]x[/red]"
    text = printed(data, by="node")
    assert "\u202e" not in text
    assert "[red]x[/red]" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 µs"), (5e-6, "5 µs"), (0.00123, "1.23 ms"), (0.25, "250 ms"), (2.5, "2.5 s")]
)
def test_times(seconds: float, text: str) -> None:
    assert time(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0.0, "0"), (3.14159, "3.14"), (1234.5, "1,234")])
def test_rates(value: float | None, text: str) -> None:
    assert rate(value) == text
