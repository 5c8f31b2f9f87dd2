"""wua_onnx: what a neural network costs, which of its weights do the work, what can go.

    import wua_onnx as wua

    audit = wua.analyze("model.onnx", X)
    audit.to_html("audit.html")

Public names load when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from wua_onnx._audit import analyze as analyze
    from wua_onnx._audit import cost as cost
    from wua_onnx._check import check as check
    from wua_onnx._classic import compute_weight_importance as compute_weight_importance
    from wua_onnx._classic import generate_report as generate_report
    from wua_onnx._classic import plot_importance_histogram as plot_importance_histogram
    from wua_onnx._classic import print_flops_report as print_flops_report
    from wua_onnx._classic import print_report as print_report
    from wua_onnx._classic import show as show
    from wua_onnx._compare import compare as compare
    from wua_onnx._layer_audit import LayerAudit as LayerAudit
    from wua_onnx._result import Audit as Audit
    from wua_onnx._sources import convert as convert
    from wua_onnx.budget import CheckResult as CheckResult
    from wua_onnx.comparison import Comparison as Comparison
    from wua_onnx.cost import CostReport as CostReport
    from wua_onnx.errors import WuaError as WuaError
    from wua_onnx.importance import LayerMetrics as LayerMetrics
    from wua_onnx.recording import Recorder as Recorder
    from wua_onnx.recording import Recording as Recording

_HOMES = {
    "Audit": "wua_onnx._result",
    "CheckResult": "wua_onnx.budget",
    "Comparison": "wua_onnx.comparison",
    "CostReport": "wua_onnx.cost",
    "LayerAudit": "wua_onnx._layer_audit",
    "LayerMetrics": "wua_onnx.importance",
    "Recorder": "wua_onnx.recording",
    "Recording": "wua_onnx.recording",
    "WuaError": "wua_onnx.errors",
    "analyze": "wua_onnx._audit",
    "check": "wua_onnx._check",
    "compare": "wua_onnx._compare",
    "compute_weight_importance": "wua_onnx._classic",
    "convert": "wua_onnx._sources",
    "cost": "wua_onnx._audit",
    "generate_report": "wua_onnx._classic",
    "plot_importance_histogram": "wua_onnx._classic",
    "print_flops_report": "wua_onnx._classic",
    "print_report": "wua_onnx._classic",
    "show": "wua_onnx._classic",
}

__all__ = [*sorted(_HOMES), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    if name != "cost":
        globals()[name] = value
    return value


class _Package(ModuleType):
    """Keeps `wua_onnx.cost` the function: the import system would bind the sub-package of that name over it.

    The sub-package is reached as every module is, with `from wua_onnx.cost import CostReport`.
    """

    @property
    def cost(self) -> Any:
        return __getattr__("cost")

    @cost.setter
    def cost(self, subpackage: ModuleType) -> None:
        pass


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
