"""Real architectures with random weights, and small trained ones, for the table of converters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np

Entry = tuple[str, Callable[[], tuple[Any, Any]]]
_TOKENS = 16
# The pixels of an image's side: small, where the architecture allows it.
_VISION = {
    "alexnet": 64,
    "convnext_tiny": 32,
    "densenet121": 64,
    "efficientnet_b0": 64,
    "googlenet": 64,
    "inception_v3": 75,
    "maxvit_t": 224,
    "mnasnet0_5": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "regnet_y_400mf": 64,
    "resnet50": 224,
    "shufflenet_v2_x0_5": 64,
    "squeezenet1_1": 64,
    "swin_t": 64,
    "vgg11": 64,
    "vit_b_16": 224,
}
_KERAS = {
    "ConvNeXtTiny": 32,
    "DenseNet121": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Small": 32,
    "NASNetMobile": 32,
    "ResNet50": 32,
    "ResNet50V2": 32,
    "VGG16": 32,
    "Xception": 71,
}


def pytorch() -> Iterator[Entry]:
    """Yield (name, function that builds the module and its data)."""
    for name, size in _VISION.items():
        yield f"torchvision {name}", partial(_vision, name, size)
    for name in ("BERT", "BERT-base", "GPT-2", "Llama", "T5 encoder", "ViT"):
        yield f"transformers {name}", partial(_transformer, name)
    yield "digits, trained", _trained_pytorch


def keras() -> Iterator[Entry]:
    """Yield (name, function that builds the Keras model and its data)."""
    for name, size in _KERAS.items():
        yield f"keras.applications {name}", partial(_application, name, size)
    yield "digits, trained", _trained_keras


def _image(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal((2, *shape), dtype=np.float32)


def _varied(*shape: int) -> Any:
    """Return images that differ in brightness and contrast, so that no statistic of theirs is almost zero."""
    made = np.random.default_rng(1)
    scale, shift = made.uniform(0.5, 2, 16), made.uniform(-1, 1, 16)
    images = made.standard_normal((16, *shape)) * scale.reshape(-1, 1, 1, 1) + shift.reshape(-1, 1, 1, 1)
    return images.astype(np.float32)


@cache
def _declare_operators() -> Any:
    """Declare what torchvision needs to be imported beside a CPU build of torch; keep the library alive."""
    import torch

    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call] # torch's own
    for schema in ("nms", "qnms"):
        library.define(f"{schema}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def _vision(name: str, size: int) -> tuple[Any, Any]:
    import torch

    _declare_operators()
    import torchvision

    torch.manual_seed(0)
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model, X = torchvision.models.get_model(name, weights=None, **extra), _image(3, size, size)
    model.eval()
    for part in model.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.train()
            part.momentum = 1.0
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():  # biases and last layers that begin at zero would hide differences
                parameter.normal_(std=0.02)
        model(torch.tensor(_varied(3, size, size)))
    return model, X


def _transformer(name: str) -> tuple[Any, Any]:
    import torch

    _declare_operators()
    import transformers as t

    torch.manual_seed(0)
    small: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64}
    ids = {"input_ids": np.random.default_rng(0).integers(0, 100, (2, _TOKENS))}
    if name == "BERT-base":
        return t.BertModel(t.BertConfig()), {"input_ids": np.random.default_rng(0).integers(0, 30_000, (2, 128))}
    if name == "BERT":
        return t.BertModel(t.BertConfig(**small, intermediate_size=128, vocab_size=100)), ids
    if name == "GPT-2":
        config = t.GPT2Config(n_embd=64, n_layer=2, n_head=4, vocab_size=100, bos_token_id=1, eos_token_id=1)
        return t.GPT2LMHeadModel(config), ids
    if name == "Llama":
        return t.LlamaForCausalLM(t.LlamaConfig(**small, intermediate_size=128, vocab_size=100)), ids
    if name == "T5 encoder":
        config = t.T5Config(d_model=64, num_layers=2, num_heads=4, d_ff=128, d_kv=16, vocab_size=100)
        return t.T5EncoderModel(config), ids
    config = t.ViTConfig(**small, intermediate_size=128, image_size=32, patch_size=8)
    return t.ViTModel(config), _image(3, 32, 32)


def _application(name: str, size: int) -> tuple[Any, Any]:
    import keras

    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    small = {"classes": 10} if name == "NASNetMobile" else {}
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), **small)
    X = _image(size, size, 3)
    for part in model._flatten_layers():
        if isinstance(part, keras.layers.BatchNormalization):
            part.momentum = 0.0
    model(_varied(size, size, 3), training=True)
    return model, X


def _digits() -> tuple[Any, Any]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.data / 16).astype(np.float32), found.target


def _trained_pytorch() -> tuple[Any, Any]:
    import torch

    X, y = _digits()
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 48), torch.nn.ReLU(), torch.nn.Linear(48, 10))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    inputs, labels = torch.tensor(X), torch.tensor(y)
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()  # type: ignore[no-untyped-call] # torch's own
        optimizer.step()
    return model, X


def _trained_keras() -> tuple[Any, Any]:
    import keras

    X, y = _digits()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    parts = [keras.Input((64,)), layers.Dense(48, "relu", name="hidden"), layers.Dense(10, "softmax", name="out")]
    model = keras.Sequential(parts)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, y, epochs=10, verbose=0)
    return model, X
