"""The layers of a model: what holds weights, what its neurons are, and where their activation is read.

`find_layers` asks every registered kind (one file each) about every node, groups the uses of one initializer into
one `Layer`, names it, and says of every parameter it leaves aside why.
"""

from wua_onnx.layers.find import Declined, Layers, find_layers
from wua_onnx.layers.layer import Layer, Use

__all__ = ["Declined", "Layer", "Layers", "Use", "find_layers"]
