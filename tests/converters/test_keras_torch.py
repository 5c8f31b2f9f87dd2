"""Keras on PyTorch: through PyTorch's exporter, or rebuilt on TensorFlow where that would lose something."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BEGIN = """
import keras, numpy as np
from keras import layers
from wua_onnx.converters import to_onnx
assert keras.config.backend() == "torch"
X = np.random.default_rng(0).standard_normal((9, 5)).astype("float32")
S = np.random.default_rng(0).standard_normal((9, 7, 5)).astype("float32")

def sequential(shape, *parts):
    return keras.Sequential([keras.Input(shape, name="x"), *parts])

def branches():
    a, b = keras.Input((5,), name="a"), keras.Input((7, 5), name="b")
    flat = layers.Dense(2, name="third")(layers.Flatten()(b))
    return keras.Model({"a": a, "b": b}, [layers.Dense(3, name="first")(a), flat], name="net")

def show(model, X):
    done = to_onnx(model, "m.onnx", X)
    print(done.framework, *sorted(done.layer_names.values()), done.max_difference < 1e-2)
"""

PARTS = {
    "exported": """
block = keras.Sequential([layers.Dense(3, name="inner")], name="block")
show(sequential((5,), layers.Dense(7, name="outer", activation="gelu"), block), X)
sequential((5,), layers.Dense(3, name="first"), layers.Dense(2, name="last")).save("m.keras")
show("m.keras", {"x": X, "labels": np.arange(9)})
show(sequential((7, 5), layers.LSTM(3, name="it")), S)
""",
    "built before": """
def functional(name, *parts):
    x = y = keras.Input((5,))
    for part in parts:
        y = part(y)
    return keras.Model(x, y, name=name)

middle = functional("middle", layers.Dense(5, name="deep"), layers.BatchNormalization(name="norm"))
built = keras.Sequential([keras.Input((5,)), layers.Dense(5, name="inner")], name="built")
outer = functional("outer", layers.Dense(5, name="first"), middle)
show(functional("net", outer, built, layers.Dense(3, name="last")), X)
""",
    "lost": """
show(branches(), {"b": S, "a": X})
show(sequential((5,), layers.Dense(3, name="a", dtype="mixed_float16"), layers.Dense(2, name="b")), None)
try:
    show(sequential((5,), layers.Dense(3)), S)
except Exception as error:
    print(error)
""",
}


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the lines that each part prints; a Python of its own, with Keras on PyTorch, runs one after the other."""
    code = BEGIN + "".join(f"keras.backend.clear_session()\nprint('= {name}')\n{part}" for name, part in PARTS.items())
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    folder = tmp_path_factory.mktemp("keras_torch")
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    parts = (part.splitlines() for part in ("\n" + done.stdout).split("\n= ")[1:])
    return {name: lines for name, *lines in parts}


def test_what_pytorch_exports_goes_through_pytorch(printed: dict[str, list[str]]) -> None:
    """Nested models; an LSTM, whose cell is no layer to its author; a file, and data with labels in it."""
    assert printed["exported"] == [
        "pytorch block/inner outer True",
        "pytorch first last True",
        "pytorch it.kernel it.recurrent_kernel True",
    ]


def test_layers_of_models_that_were_built_before_they_were_put_into_another(printed: dict[str, list[str]]) -> None:
    """Keras's own path of the kernel of `deep` is `deep/kernel`."""
    assert printed["built before"] == ["pytorch built/inner last outer/first outer/middle/deep True"]


def test_what_pytorch_would_lose_is_rebuilt(printed: dict[str, list[str]]) -> None:
    """Several inputs; no data; half precision; what PyTorch's exporter refuses, here since X does not fit."""
    inputs, mixed, refused = printed["lost"]
    assert inputs == "keras first third True"
    assert mixed == "keras a b True"
    assert "input 'x': expected float32 (None, 5), got float32 [9, 7, 5]" in refused
