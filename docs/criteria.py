"""Prints docs/criteria.md, the page on criteria of importance, from the registry in wua_onnx/importance.

python docs/criteria.py > docs/criteria.md
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import wua_onnx
from wua_onnx.importance import criterion_names, get

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SHARES = (0.5, 0.7, 0.8, 0.9)

INTRODUCTION = """\
# Criteria of importance

Generated from the registry by `python docs/criteria.py`; a test keeps it so.

A criterion says what makes one weight more important than another: `wua_onnx.analyze(model, X, criterion="wanda")`.
Several are computed from one recording, `criterion=["activation", "wanda"]`; totals and findings rest on the first.
"""

MEASURED = """\
## Which to take

The metrics of a layer (entropy, effective weights, Gini …) say how *one layer* spreads its importance, and every
criterion serves. To compare weights **across layers**, as a pruning of the whole network does, they differ: within the
incoming weights of one neuron `activation` ranks exactly as `magnitude` does, and across layers it favours those whose
activations are large, whatever their part in the result.

The shipped model, `examples/digits.onnx`, on its {samples} images: the weights of all layers that rank lowest are set
to 0, nothing is trained again. Accuracy in %, {whole} before:

{table}

One small network on the data it was recorded on: a demonstration, not a benchmark. Findings that speak of removing
weights are marked "not verified" for this reason. Measure the pruned network.
"""


def page() -> str:
    """Return the page."""
    figures = accuracies()
    rows = [f"| {name} | {' | '.join(f'{100 * x:.0f}' for x in figures[name])} |" for name in criterion_names()]
    head = ["| pruned | " + " | ".join(f"{share:.0%}" for share in SHARES) + " |", "| --- |" + " ---: |" * len(SHARES)]
    data = np.load(EXAMPLES / "digits.npz")
    whole = _accuracy(onnx.load(EXAMPLES / "digits.onnx"), data)
    measured = MEASURED.format(samples=len(data["X"]), whole=f"{100 * whole:.0f}", table="\n".join([*head, *rows]))
    return "\n".join([INTRODUCTION, *_criteria(), measured]).rstrip()


def _criteria() -> Iterator[str]:
    for name in criterion_names():
        criterion = get(name)
        text = inspect.cleandoc(criterion.rule.__doc__ or "")
        summary, _, rest = text.partition("\n")
        items = re.sub(r"^(Source|Invariant to|Not invariant to):", r"- **\1:**", rest.strip(), flags=re.MULTILINE)
        needs = ", ".join(criterion.needs) or "nothing: the weights alone"
        yield f"## `{name}`\n\n{summary}\n\n- **Needs:** {needs}\n{items}\n"


def accuracies() -> dict[str, list[float]]:
    """Return the accuracy of the shipped model by criterion, after each share of its weights is set to 0."""
    data = np.load(EXAMPLES / "digits.npz")
    audit = wua_onnx.analyze(EXAMPLES / "digits.onnx", data["X"], criterion=list(criterion_names()))
    return {name: [_accuracy(_pruned(audit, name, share), data) for share in SHARES] for name in criterion_names()}


def _pruned(audit: Any, criterion: str, share: float) -> onnx.ModelProto:
    scores = {name: layer.scores[criterion] for name, layer in audit.layers.items()}
    threshold = np.quantile(np.concatenate([part.reshape(-1) for part in scores.values()]), share)
    model = onnx.load(EXAMPLES / "digits.onnx")
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for part in audit.to_dict()["layers"]:
        tensor = stored[part["weight"]]
        weight, low = onnx.numpy_helper.to_array(tensor), scores[part["name"]] < threshold
        low = low if low.shape == weight.shape else low.T
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.where(low, np.float32(0), weight), tensor.name))
    return model


def _accuracy(model: onnx.ModelProto, data: Mapping[str, Any]) -> float:
    audit = wua_onnx.analyze(model, data["X"], data["y"])
    return float(audit.to_dict()["recording"]["accuracy"])


if __name__ == "__main__":
    print(page())
