"""The model: a graph with shapes, whose weights stay on disk.

`load` is the one way in. Everything after it reads a `Model` and its `NodeView`s.
"""

from wua_onnx.model.dims import Dim, Shape
from wua_onnx.model.graph import Model
from wua_onnx.model.load import load
from wua_onnx.model.node import NodeView, ShapeUnknown

__all__ = ["Dim", "Model", "NodeView", "Shape", "ShapeUnknown", "load"]
