"""The model: a graph with shapes, whose weights stay on disk.

`load` is the one way in. Everything after it reads a `Model` and its `NodeView`s.
"""

from wua_onnx.model.dims import Dim, Shape
from wua_onnx.model.graph import Model, NodeView, ShapeUnknown
from wua_onnx.model.load import load

__all__ = ["Dim", "Model", "NodeView", "Shape", "ShapeUnknown", "load"]
