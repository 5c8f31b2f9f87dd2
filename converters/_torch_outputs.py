"""What a program returns beside tensors, which ONNX has no outputs for."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.export import ExportedProgram


@contextlib.contextmanager
def tensors_alone(program: ExportedProgram) -> Iterator[None]:
    """Take sizes, numbers and texts among the outputs for None in the body: PyTorch's exporter leaves that out."""
    from torch.export.graph_signature import ConstantArgument, OutputKind, TensorArgument

    node, specs = program.graph.output_node(), program.graph_signature.output_specs
    args, before = node.args, [spec.arg for spec in specs]
    plain = [s.kind is OutputKind.USER_OUTPUT and not isinstance(s.arg, TensorArgument) for s in specs]
    values: Any = args[0]  # a tuple, as every exported program has it
    try:
        node.args = (tuple(None if drop else value for value, drop in zip(values, plain, strict=True)),)
        for spec in itertools.compress(specs, plain):
            spec.arg = ConstantArgument(name=spec.arg.name, value=None)
        yield
    finally:
        node.args = args
        for spec, arg in zip(specs, before, strict=True):
            spec.arg = arg
