"""wua_onnx: what a neural network costs, which of its weights do the work, what can go."""

from __future__ import annotations
