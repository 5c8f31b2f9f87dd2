"""The page on activation functions is what the registry says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from wua_onnx.layers.activation_functions import OPERATORS, QUANTIZED
from wua_onnx.layers.function_values import FAMILIES, GRID, KNOWN, identify

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "activations.md").read_text(encoding="utf-8")


def test_the_page_is_generated_from_the_registry() -> None:
    spec = importlib.util.spec_from_file_location("activations", DOCS / "activations.py")
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    assert program.page() == PAGE, "write it anew: python docs/activations.py > docs/activations.md"


def test_every_operator_and_form_has_a_line() -> None:
    lines = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")][2:]
    assert all(len(cells) == 6 for cells in lines)
    operators = {op.rpartition(":")[2] for cells in lines for op in cells[2].split(", ") if op}
    assert operators == OPERATORS.keys() | QUANTIZED.keys()
    assert {cells[0] for cells in lines} >= {form.function.name for form in (*KNOWN, *FAMILIES)}


def test_functions_of_one_name_are_alike() -> None:
    """Except for Clip, whose range is its bounds'."""
    everything = [*OPERATORS.values(), *QUANTIZED.values(), *(form.function for form in (*KNOWN, *FAMILIES))]
    assert len(set(everything)) == len({function.name for function in everything})


def test_each_known_function_is_itself_and_apart_from_all_others() -> None:
    for form in KNOWN:
        assert identify(form.values(GRID, GRID)) is form.function, form.formula
