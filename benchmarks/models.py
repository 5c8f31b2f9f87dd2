"""The models measured: real architectures with random weights, exported once into a cache folder."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

SEQUENCE = 128  # tokens
IMAGE = (3, 224, 224)
# The inputs of each model, without the batch; a tuple of three is an image, of one a row of tokens.
INPUTS: dict[str, tuple[tuple[int, ...], ...]] = {
    "resnet50": (IMAGE,),
    "vit_b_16": (IMAGE,),
    "bert_base": ((SEQUENCE,), (SEQUENCE,)),
}


def feeds(name: str, batch: int) -> dict[str, Any]:
    """Return random inputs for model `name`."""
    generator = np.random.default_rng(0)
    arrays = [
        generator.standard_normal((batch, *shape), dtype=np.float32)
        if shape == IMAGE
        else np.ones((batch, *shape), dtype=np.int64)
        for shape in INPUTS[name]
    ]
    return {f"input_{index}": array for index, array in enumerate(arrays)}


def build(folder: Path) -> dict[str, Path]:
    """Return the path of each model by name; those missing in `folder` are exported (about a minute)."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.onnx" for name in INPUTS}
    missing = {name: path for name, path in paths.items() if not path.exists()}
    if missing:
        _export(missing)
    return paths


def _export(missing: dict[str, Path]) -> None:
    import torch

    # torchvision, where it is installed, imports beside a CPU build of torch once these schemas are declared.
    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call] # torch's own
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    torch.manual_seed(0)
    for name, path in missing.items():
        module, example = _module(name)
        names = [f"input_{i}" for i in range(len(example))]
        dynamic = tuple({0: torch.export.Dim("batch")} for _ in example)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.eval(), example, input_names=names, dynamo=True, dynamic_shapes=(dynamic,), verbose=False
            )
        assert program is not None
        program.save(str(path))


def _module(name: str) -> tuple[Any, tuple[Any, ...]]:
    import torch
    import transformers

    class Plain(torch.nn.Module):
        """Positional inputs in, one tensor out."""

        def __init__(self, inner: Any, output: str) -> None:
            super().__init__()
            self.inner, self.output = inner, output

        def forward(self, *inputs: Any) -> Any:
            return getattr(self.inner(*inputs), self.output)

    if name == "bert_base":
        ids = torch.ones(2, SEQUENCE, dtype=torch.int64)
        return Plain(transformers.BertModel(transformers.BertConfig()), "last_hidden_state"), (ids, ids)
    image = torch.zeros(2, *IMAGE)
    if name == "vit_b_16":
        return Plain(transformers.ViTModel(transformers.ViTConfig()), "last_hidden_state"), (image,)
    config = transformers.ResNetConfig(num_labels=1000)
    return Plain(transformers.ResNetForImageClassification(config), "logits"), (image,)
