"""What `import wua_onnx` loads, and which names it offers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ["torch", "tensorflow", "tf2onnx", "onnxruntime", "pygraphviz", "matplotlib", "sympy", "keras"]
PUBLIC = {
    "analyze": "callable",
    "check": "callable",
    "CheckResult": "class",
    "Comparison": "class",
    "cost": "callable",
    "convert": "callable",
    "compare": "callable",
    "Recorder": "class",
    "Audit": "class",
    "CostReport": "class",
    "LayerAudit": "class",
    "LayerMetrics": "class",
    "WuaError": "class",
    "print_flops_report": "callable",
    "compute_weight_importance": "callable",
    "generate_report": "callable",
    "print_report": "callable",
    "plot_importance_histogram": "callable",
    "show": "callable",
}


def in_fresh_python(code: str) -> str:
    """Run the code in a Python of its own, where nothing has been imported yet; return what it printed."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_nothing_heavy() -> None:
    names = in_fresh_python("import sys, wua_onnx; print(*{name.split('.')[0] for name in sys.modules})").split()
    assert "wua_onnx" in names
    assert sorted(set(HEAVY) & set(names)) == []


def test_import_is_quick() -> None:
    code = "import time; start = time.perf_counter(); import wua_onnx; print(time.perf_counter() - start)"
    assert min(float(in_fresh_python(code)) for _ in range(5)) < 0.15


def test_listing_the_public_names_loads_nothing_heavy() -> None:
    names = in_fresh_python("import sys, wua_onnx; dir(wua_onnx); wua_onnx.__all__; print(*sys.modules)").split()
    assert sorted(set(HEAVY) & set(names)) == []


def test_every_public_name_resolves() -> None:
    code = "import wua_onnx as wua\nfor name in wua.__all__: assert getattr(wua, name) is not None, name"
    in_fresh_python(f"{code}\nprint(len(wua.__all__))")


@pytest.mark.parametrize(("name", "kind"), PUBLIC.items())
def test_promised_name_is_public(name: str, kind: str) -> None:
    import wua_onnx

    assert name in wua_onnx.__all__
    assert name in dir(wua_onnx)
    found = getattr(wua_onnx, name)
    assert isinstance(found, type) if kind == "class" else callable(found)


def test_unknown_name_is_an_attribute_error() -> None:
    import wua_onnx

    misspelt = "analyse"
    with pytest.raises(AttributeError, match=misspelt):
        getattr(wua_onnx, misspelt)


@pytest.mark.parametrize(
    "first",
    [
        "pass",
        "wua.cost",
        "import wua_onnx.cost",
        "from wua_onnx.cost import rules",
        "from wua_onnx.cost.registry import rule",
        "from wua_onnx import cost; cost('examples/digits.onnx')",
        "wua.analyze('examples/digits.onnx')",
    ],
)
def test_cost_can_be_called_though_a_package_bears_its_name(first: str) -> None:
    """Importing a package sets it as an attribute of its parent, over a function of the same name."""
    code = "print(wua.cost('examples/digits.onnx').at(batch=1).macs)\nfrom wua_onnx.cost import rules, CostReport"
    # conv1, conv2, fc1, fc2
    expected = 16 * 9 * 64 + 32 * 16 * 9 * 64 + 512 * 96 + 96 * 10
    assert int(in_fresh_python(f"import wua_onnx as wua\n{first}\n{code}")) == expected


def test_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    import wua_onnx

    assert wua_onnx.__version__ == version("wua-onnx")
