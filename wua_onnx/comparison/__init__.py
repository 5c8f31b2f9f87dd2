"""Two audits side by side: which layer is which, how the figures changed, how far the outputs lie apart.

`wua_onnx.compare` is the door. `matching` says which layers belong together, `deltas` what changed of them, `outputs`
runs both models on the same data, and `result` holds it all and writes it down.
"""

from __future__ import annotations

from wua_onnx.comparison.deltas import Delta, LayerDelta, figures_of, layer_deltas, only_in
from wua_onnx.comparison.outputs import OutputDifference, Outputs, compare_outputs
from wua_onnx.comparison.result import SCHEMA_VERSION, Comparison

__all__ = [
    "SCHEMA_VERSION",
    "Comparison",
    "Delta",
    "LayerDelta",
    "OutputDifference",
    "Outputs",
    "compare_outputs",
    "figures_of",
    "layer_deltas",
    "only_in",
]
