"""The models measured, written once into a cache folder: real architectures with random weights, and two made up."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

SEQUENCE = 128  # tokens
IMAGE = (3, 224, 224)
WIDTH = 64  # of the model of many nodes
BLOCKS, BLOCK = 1_250, 8  # its nodes: 10,000
PRODUCTS, LARGE = 40, 4096  # of the model beside whose graph 40 weights of 64 MiB lie: 2.5 GiB
TRAINED = 24  # weights of 64 MiB of the model that is analysed: 1.5 GiB
# The inputs of each model, without the batch; a row of tokens has one axis, the others hold floats.
INPUTS: dict[str, tuple[tuple[int, ...], ...]] = {
    "resnet50": (IMAGE,),
    "mobilenet_v3": (IMAGE,),
    "vit_b_16": (IMAGE,),
    "bert_base": ((SEQUENCE,), (SEQUENCE,)),
    "lstm": ((SEQUENCE, WIDTH),),
    "gpt2": ((SEQUENCE,),),
    "gpt2_dynamic": ((SEQUENCE,),),
    "nodes_10000": ((SEQUENCE, WIDTH),),
    "external_2.5GiB": ((1, LARGE),),
    "weights_1.5GiB": ((1, LARGE),),
}
# Their free dimensions, by axis, where it is not the batch alone.
FREE: dict[str, dict[int, str]] = {
    "gpt2": {},
    "gpt2_dynamic": {0: "batch", 1: "seq"},
    "nodes_10000": {0: "batch", 1: "seq"},
}


def feeds(name: str, batch: int) -> dict[str, Any]:
    """Return random inputs for model `name`."""
    generator = np.random.default_rng(0)
    arrays = [
        generator.standard_normal((batch, *shape), dtype=np.float32)
        if len(shape) > 1
        else np.ones((batch, *shape), dtype=np.int64)
        for shape in INPUTS[name]
    ]
    return {f"input_{index}": array for index, array in enumerate(arrays)}


def build(folder: Path) -> dict[str, Path]:
    """Return the path of each model by name; those missing in `folder` are written (about two minutes)."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.onnx" for name in INPUTS}
    missing = {name: path for name, path in paths.items() if not path.exists()}
    for name, write in MADE_UP.items():
        if name in missing:
            write(missing.pop(name))
    if missing:
        _export(missing)
    return paths


def _write_many_nodes(path: Path) -> None:
    """Write residual blocks over two free dimensions, each with its shape read and restored."""
    node = helper.make_node
    nodes, last = [], "input_0"
    for i in range(BLOCKS):
        n = [f"{name}{i}" for name in ("shape", "flat", "product", "sum", "relu", "back", "added", "out")]
        nodes += [
            node("Shape", [last], [n[0]]),
            node("Reshape", [last, "rows"], [n[1]]),
            node("MatMul", [n[1], "weight"], [n[2]]),
            node("Add", [n[2], "bias"], [n[3]]),
            node("Relu", [n[3]], [n[4]]),
            node("Reshape", [n[4], n[0]], [n[5]]),
            node("Add", [n[5], last], [n[6]]),
            node("Tanh", [n[6]], [n[7]]),
        ]
        last = n[7]
    assert len(nodes) == BLOCKS * BLOCK
    weights = {
        "rows": np.array([-1, WIDTH]),
        "weight": np.ones((WIDTH, WIDTH), np.float32),
        "bias": np.ones(WIDTH, np.float32),
    }
    _save(path, nodes, ["batch", "seq", WIDTH], last, [numpy_helper.from_array(a, name) for name, a in weights.items()])


def _write_external(path: Path) -> None:
    """Write products whose weights lie in a file beside the model: all of it a hole that takes no room on the disk."""
    with path.with_suffix(".data").open("wb") as file:
        file.truncate(PRODUCTS * 4 * LARGE * LARGE)
    _save_products(path, PRODUCTS)


def _write_weights(path: Path) -> None:
    """Write the same with numbers in the weights: one draw from a normal distribution, scaled anew for each."""
    drawn = np.random.default_rng(0).standard_normal((LARGE, LARGE), dtype=np.float32)
    with path.with_suffix(".data").open("wb") as file:
        for i in range(TRAINED):
            (drawn * np.float32(0.01 + 0.001 * i)).tofile(file)
    _save_products(path, TRAINED)


def _save_products(path: Path, products: int) -> None:
    size = 4 * LARGE * LARGE
    weights = []
    for i in range(products):
        weight = onnx.TensorProto(name=f"weight{i}", data_type=onnx.TensorProto.FLOAT, dims=[LARGE, LARGE])
        weight.data_location = onnx.TensorProto.EXTERNAL
        for key, value in {"location": path.with_suffix(".data").name, "offset": i * size, "length": size}.items():
            weight.external_data.add(key=key, value=str(value))
        weights.append(weight)
    names = ["input_0", *(f"h{i}" for i in range(products))]
    nodes = [helper.make_node("MatMul", [names[i], f"weight{i}"], [names[i + 1]]) for i in range(products)]
    _save(path, nodes, ["batch", 1, LARGE], names[-1], weights)


def _save(path: Path, nodes: list[Any], shape: list[str | int], last: str, weights: list[onnx.TensorProto]) -> None:
    inputs, outputs = (
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)] for name in ("input_0", last)
    )
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.write_bytes(model.SerializeToString())


MADE_UP: dict[str, Callable[[Path], None]] = {
    "nodes_10000": _write_many_nodes,
    "external_2.5GiB": _write_external,
    "weights_1.5GiB": _write_weights,
}


def _export(missing: dict[str, Path]) -> None:
    import torch

    for name, path in missing.items():
        module, example = module_of(name)
        names = [f"input_{i}" for i in range(len(example))]
        free = {axis: torch.export.Dim(dim) for axis, dim in FREE.get(name, {0: "batch"}).items()}
        dynamic = tuple(free for _ in example)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.eval(), example, input_names=names, dynamo=True, dynamic_shapes=(dynamic,), verbose=False
            )
        assert program is not None
        program.save(str(path))


_KEPT: list[Any] = []  # a library of operator schemas lasts as long as its object


def module_of(name: str) -> tuple[Any, tuple[Any, ...]]:
    """Return a model of PyTorch with random weights, and example inputs."""
    import torch

    if not _KEPT:
        # torchvision imports beside a CPU build of torch once these schemas are declared; transformers looks for it.
        _KEPT.append(torch.library.Library("torchvision", "FRAGMENT"))  # type: ignore[no-untyped-call] # torch's own
        for schema in ("nms", "qnms"):
            _KEPT[0].define(f"{schema}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import transformers

    torch.manual_seed(0)

    class Plain(torch.nn.Module):
        """Positional inputs in, one tensor out."""

        def __init__(self, inner: Any, output: str | None = None) -> None:
            super().__init__()
            self.inner, self.output = inner, output

        def forward(self, *inputs: Any) -> Any:
            outputs = self.inner(*inputs)
            return outputs if self.output is None else getattr(outputs, self.output)

    ids = torch.ones(1 if name == "gpt2" else 2, SEQUENCE, dtype=torch.int64)
    if name.startswith("gpt2"):
        config = transformers.GPT2Config(use_cache=False, attn_implementation="eager")
        return Plain(transformers.GPT2Model(config), "last_hidden_state"), (ids,)
    if name == "bert_base":
        return Plain(transformers.BertModel(transformers.BertConfig()), "last_hidden_state"), (ids, ids)
    if name == "lstm":
        return Plain(_recurrent()), (torch.zeros(2, SEQUENCE, WIDTH),)
    image = torch.zeros(2, *IMAGE)
    if name == "mobilenet_v3":
        import torchvision

        return Plain(torchvision.models.mobilenet_v3_large()), (image,)
    if name == "vit_b_16":
        return Plain(transformers.ViTModel(transformers.ViTConfig()), "last_hidden_state"), (image,)
    config = transformers.ResNetConfig(num_labels=1000)
    return Plain(transformers.ResNetForImageClassification(config), "logits"), (image,)


def _recurrent() -> Any:
    import torch

    class Recurrent(torch.nn.Module):
        """Two recurrent layers and a dense one on the last step."""

        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(WIDTH, 4 * WIDTH, 2, batch_first=True)
            self.head = torch.nn.Linear(4 * WIDTH, 10)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(x)[0][:, -1])

    return Recurrent()
