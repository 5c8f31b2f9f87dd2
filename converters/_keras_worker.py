"""The process in which a Keras model from another backend is rebuilt on TensorFlow and converted.

Started as `python -m wua_onnx.converters._keras_worker FOLDER`; the request comes on stdin, the answer goes to what
stdout was at the start. The .keras file in the folder was just written by the process that asks, from a model that it
holds: what code there is in it ran there already.
"""

from __future__ import annotations

import importlib
import os
import sys
from functools import reduce
from pathlib import Path
from typing import Any

import onnx_ir as ir

from wua_onnx.errors import WuaError
from wua_onnx.running.messages import Message, receive, send

from ._base import EXTERNAL_ABOVE
from ._keras_rebuild import MODEL, ONNX
from ._quiet import converting, telling
from ._tf_examples import Array
from ._tf_import import import_package
from .from_tensorflow import draft_on_tensorflow


def main() -> None:
    """Answer the one request."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed must not end up in the answer
    request = receive(os.fdopen(os.dup(0), "rb"))
    try:
        with telling(None, request.fields["verbose"]):
            answer = _answer(Path(sys.argv[1]), request)
    except WuaError as error:
        answer = Message({"error": type(error).__name__, "message": str(error)})
    send(answers, answer)


def _answer(folder: Path, request: Message) -> Message:
    fields = request.fields
    model = _rebuilt(folder / MODEL, fields["classes"], fields["where"])
    dims = {name: tuple(size) if isinstance(size, list) else size for name, size in fields["dims"].items()}
    draft, arrays = draft_on_tensorflow(model, _data(request), dims, fields["where"])
    size = sum(v.const_value.nbytes for v in draft.model.graph.initializers.values() if v.const_value is not None)
    ir.save(draft.model, folder / ONNX, external_data=f"{ONNX}.data" if size > EXTERNAL_ABOVE else None)
    example = draft.example
    inputs = {str(number): array for number, array in enumerate(arrays)}
    feeds = {} if example is None else {name: _key(array, arrays) for name, array in example.feeds.items()}
    wide = example.wide() if example is not None and example.wide is not None else ()
    return Message(
        {
            "ran": example is not None,
            "inputs": list(inputs),
            "feeds": feeds,
            "layer_names": dict(draft.layer_names),
            "warnings": list(draft.warnings),
            "modules": {path: module.to_dict() for path, module in draft.modules.items()},
            "sizes": {} if example is None else dict(example.sizes),
            "narrow": None if example is None or example.narrow is None else example.narrow.name,
            "wide": len(wide),
        },
        inputs | {f"wide {number}": array for number, array in enumerate(wide)},
    )


def _key(array: Array, arrays: list[Array]) -> str:
    return str(next(number for number, other in enumerate(arrays) if other is array))


def _data(request: Message) -> Any:
    if not request.fields["given"]:
        return None
    return dict(request.arrays) if request.fields["named"] else tuple(request.arrays.values())


def _rebuilt(path: Path, classes: list[tuple[str, str]], where: str) -> Any:
    with converting(where, "a model that Keras can rebuild on TensorFlow"):
        keras = import_package("keras")
        known = {name: reduce(getattr, name.split("."), importlib.import_module(module)) for module, name in classes}
        return keras.saving.load_model(path, compile=False, safe_mode=False, custom_objects=known)


if __name__ == "__main__":
    main()
