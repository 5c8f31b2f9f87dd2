"""Write the graphs of torchvision's classification models without their weights: `python make.py [names]`.

Needs torch, torchvision and onnxscript; the tests that read the graphs need none of them. Every float initializer
is declared as external data in `absent.bin`, which is never written, so the files prove that counting needs no
weight. Metadata, documentation strings and inferred shapes are left out, and names are short.
"""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import onnx_ir as ir
import torch

FOLDER = Path(__file__).parent
# fmt: off
NAMES = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3",
    "mnasnet1_0", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf",
    "resnet18", "resnet50", "resnext50_32x4d", "shufflenet_v2_x1_0", "squeezenet1_1", "swin_t", "vgg16", "vit_b_16",
    "wide_resnet50_2",
)
# fmt: on


def graph_of(name: str) -> onnx.ModelProto:
    """Return the exported graph of the torchvision model `name` with random weights and a free batch dimension."""
    import torchvision

    weights = torchvision.models.get_model_weights(name).DEFAULT
    size = weights.transforms().crop_size[0]
    print(name, size, weights.meta["_ops"], file=sys.stderr)
    model = torchvision.models.get_model(name, weights=None).eval()
    program = torch.onnx.export(
        model,
        (torch.zeros(2, 3, size, size),),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    assert program is not None
    return program.model_proto


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with float initializers declared as absent external data, and nothing else that takes room."""
    names: dict[str, str] = {}

    def short(name: str) -> str:
        return names.setdefault(name, f"v{len(names)}") if name else ""

    graph, offset = model.graph, 0
    for value in (*graph.input, *graph.output):
        value.name = short(value.name)
    for tensor in graph.initializer:
        tensor.name = short(tensor.name)
        if tensor.data_type != onnx.TensorProto.INT64:
            length = ir.from_proto(tensor).nbytes
            declare_external(tensor, offset, length)
            offset += length
    for index, node in enumerate(graph.node):
        node.name, node.doc_string = f"n{index}", ""
        node.ClearField("metadata_props")
        node.input[:] = [short(value) for value in node.input]
        node.output[:] = [short(value) for value in node.output]
    for field in ("value_info", "metadata_props", "doc_string"):
        graph.ClearField(field)
    for field in ("metadata_props", "doc_string", "functions"):
        model.ClearField(field)
    return model


def declare_external(tensor: onnx.TensorProto, offset: int, length: int) -> None:
    """Turn `tensor` into a reference to `absent.bin`, in place."""
    for field in ("raw_data", "float_data", "int32_data", "double_data", "doc_string", "metadata_props"):
        tensor.ClearField(field)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "absent.bin"), ("offset", str(offset)), ("length", str(length))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def main() -> None:
    """Write the graphs named on the command line, or all of them."""
    operators = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call] # torch's own gap
    for name in ("nms", "qnms"):
        operators.define(  # type: ignore[no-untyped-call] # torch's own gap
            f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )
    for name in sys.argv[1:] or NAMES:
        (FOLDER / f"{name}.onnx").write_bytes(without_weights(graph_of(name)).SerializeToString())


if __name__ == "__main__":
    main()
