"""Train the model that ships in this folder: a small CNN on scikit-learn's handwritten digits.

Run from anywhere: ``python examples/train_digits.py``. It writes, beside itself:

- ``digits.onnx``: the trained network, one file with its weights, batch dimension free;
- ``digits.npz``: the 360 test images ``X`` (float32, N x 1 x 8 x 8, values 0 to 1), none of which was
  trained on, and their labels ``y`` (int64, N).

The network is larger than the task asks for, on purpose: an audit should find something real in it.

Source of the data: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
Learning Repository, 1998 (CC BY 4.0), in the copy that scikit-learn carries.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import onnx
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
SEED = 20
EPOCHS = 40
BATCH = 64
OPSET = 20
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-3
TEST_IMAGES = 360
# The one entry of the exporter's metadata that holds file names of the machine it ran on.
STACK_TRACE = "pkg.torch.onnx.stack_trace"

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


class DigitsCNN(nn.Module):
    """Two convolutions with batch normalisation, then two dense layers: (N, 1, 8, 8) -> (N, 10) logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(32 * 4 * 4, 96)
        self.fc2 = nn.Linear(96, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return one logit per digit."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.pool(torch.relu(self.bn2(self.conv2(x))))
        x = torch.relu(self.fc1(torch.flatten(x, 1)))
        return cast(Tensor, self.fc2(x))


def load_data() -> tuple[Floats, Floats, Labels, Labels]:
    """Return train images, test images, train labels, test labels; every digit keeps its share in both parts."""
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[:, None]
    labels = digits.target.astype(np.int64)
    split = train_test_split(images, labels, test_size=TEST_IMAGES, stratify=labels, random_state=SEED)
    return cast(tuple[Floats, Floats, Labels, Labels], tuple(split))


def train(images: Tensor, labels: Tensor) -> DigitsCNN:
    """Train with Adam, L2 decay and a cosine schedule; the seed fixes weights and order of the batches."""
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    model = DigitsCNN()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for batch in torch.split(torch.randperm(len(images)), BATCH):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            loss.backward()  # type: ignore[no-untyped-call] # PyTorch leaves it untyped
            optimizer.step()
        schedule.step()
    return model.eval()


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of images whose largest logit is that of their label."""
    with torch.no_grad():
        return float((model(images).argmax(1) == labels).float().mean())


def export(model: nn.Module, path: Path) -> None:
    """Write the model to one file, batch dimension free, module paths kept, stack traces taken out."""
    example = (torch.zeros(2, 1, 8, 8),)
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "exported.onnx"
        torch.onnx.export(
            model,
            example,
            exported,
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            verbose=False,
        )
        proto = onnx.load(exported)
    proto.graph.name = path.stem
    for node in proto.graph.node:
        kept = [entry for entry in node.metadata_props if entry.key != STACK_TRACE]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def main() -> None:
    """Train, export, and say how good and how large the result is."""
    train_images, test_images, train_labels, test_labels = load_data()
    model = train(torch.from_numpy(train_images), torch.from_numpy(train_labels))
    export(model, HERE / "digits.onnx")
    np.savez_compressed(HERE / "digits.npz", X=test_images, y=test_labels)
    share = accuracy(model, torch.from_numpy(test_images), torch.from_numpy(test_labels))
    print(f"test accuracy {share:.2%} on {len(test_labels)} images")
    for name in ("digits.onnx", "digits.npz"):
        print(f"{name} {(HERE / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
