"""One file per kind of layer; `wua_onnx.layers.registry` imports every module of this folder."""
