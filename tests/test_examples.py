"""The model and the data that ship in examples/ are what their script says they are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
MODEL, DATA = EXAMPLES / "digits.onnx", EXAMPLES / "digits.npz"
# A Unix path of two parts or more, a Windows drive, or the name of a Python source file.
MACHINE_PATH = re.compile(rb"(?<![\w>])/[\w.+-]+/[\w.+-]+|[A-Za-z]:\\\\?[A-Za-z]\w+\\|[\w-]+\.py\b")


@pytest.fixture(scope="module")
def proto() -> onnx.ModelProto:
    return onnx.load(MODEL)


def test_model_labels_at_least_97_percent_of_the_images_right() -> None:
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    with np.load(DATA) as data:
        logits = session.run(["logits"], {"image": data["X"]})[0]
        assert np.mean(logits.argmax(1) == data["y"]) >= 0.97


def test_data_are_a_few_hundred_images_of_every_digit() -> None:
    with np.load(DATA) as data:
        assert sorted(data.files) == ["X", "y"]
        X, y = data["X"], data["y"]
    assert X.shape == (360, 1, 8, 8)
    assert X.dtype == np.float32
    assert (X.min(), X.max()) == (0.0, 1.0)
    assert y.shape == (360,)
    assert np.bincount(y).min() >= 30, "some digit is rare in the test images"


def test_test_images_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    known = {image.tobytes(): int(label) for image, label in zip(digits.images, digits.target, strict=True)}
    with np.load(DATA) as data:
        originals = (data["X"][:, 0].astype(np.float64) * 16).round()
        assert [known[image.tobytes()] for image in originals] == data["y"].tolist()


def test_files_are_small() -> None:
    assert 100_000 < MODEL.stat().st_size < 300_000
    assert DATA.stat().st_size < 50_000


def test_model_is_one_valid_file_with_free_batch_and_module_paths(proto: onnx.ModelProto) -> None:
    onnx.checker.check_model(proto, full_check=True)
    assert not any(tensor.external_data for tensor in proto.graph.initializer)
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 20)]
    batch, *rest = proto.graph.input[0].type.tensor_type.shape.dim
    assert batch.dim_param == "batch"
    assert [dim.dim_value for dim in rest] == [1, 8, 8]
    scopes = {entry.value for node in proto.graph.node for entry in node.metadata_props if "scopes" in entry.key}
    assert any("'fc1'" in scope for scope in scopes)


def test_no_path_of_the_machine_that_exported_hides_in_the_model(proto: onnx.ModelProto) -> None:
    content = MODEL.read_bytes()
    for tensor in proto.graph.initializer:
        content = content.replace(tensor.raw_data, b"")
    assert len(content) < 20_000, "weights are still in what is searched, where chance spells anything"
    assert MACHINE_PATH.findall(content) == []
    assert b"stack_trace" not in content


@pytest.mark.parametrize(
    "path", [b" /home/ann/net.py", b"File '/usr/lib/x", b'"C:\\Users\\ann', b"C:\\\\Users\\\\ann", b"train.py"]
)
def test_search_for_paths_finds_paths(path: bytes) -> None:
    assert MACHINE_PATH.search(b"kept: " + path + b", line 20")
