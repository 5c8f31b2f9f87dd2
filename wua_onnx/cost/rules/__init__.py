"""One file per family of operators; `wua_onnx.cost.registry` imports every module of this folder."""
