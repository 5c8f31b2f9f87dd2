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


def test_import_loads_itself_and_little_of_the_standard_library() -> None:
    code = "import sys; before = set(sys.modules); import wua_onnx; print(*set(sys.modules) - before)"
    loaded = in_fresh_python(code).split()
    assert [name for name in loaded if name.split(".")[0] not in sys.stdlib_module_names] == ["wua_onnx"]
    assert len(loaded) < 40


def test_listing_the_public_names_loads_nothing_heavy() -> None:
    names = in_fresh_python("import sys, wua_onnx; dir(wua_onnx); wua_onnx.__all__; print(*sys.modules)").split()
    assert sorted(set(HEAVY) & set(names)) == []


def test_a_worker_starts_with_what_it_needs() -> None:
    """Every audit starts one; onnxruntime, or the graph of the model, loads when it is asked for."""
    names = in_fresh_python("import sys, wua_onnx.running.worker; print(*sys.modules)").split()
    assert sorted({*HEAVY, "onnx_ir", "wua_onnx.model"} & set(names)) == []


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


FIRST = (
    "pass",
    "wua.cost",
    "import wua_onnx.cost",
    "from wua_onnx.cost import rules",
    "from wua_onnx.cost.registry import rule",
    "from wua_onnx import cost; cost('examples/digits.onnx')",
    "wua.analyze('examples/digits.onnx')",
)


def test_cost_can_be_called_though_a_package_bears_its_name() -> None:
    """Importing a package sets it as an attribute of its parent, over a function of the same name."""
    code = "import sys\n" + "".join(
        "for name in [name for name in sys.modules if name.partition('.')[0] == 'wua_onnx']: del sys.modules[name]\n"
        f"import wua_onnx as wua\n{first}\n"
        "print(wua.cost('examples/digits.onnx').at(batch=1).macs)\nfrom wua_onnx.cost import rules, CostReport\n"
        for first in FIRST
    )
    # conv1, conv2, fc1, fc2
    expected = 16 * 9 * 64 + 32 * 16 * 9 * 64 + 512 * 96 + 96 * 10
    assert dict(zip(FIRST, in_fresh_python(code).split(), strict=True)) == dict.fromkeys(FIRST, str(expected))


def test_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    import wua_onnx

    assert wua_onnx.__version__ == version("wua-onnx")
