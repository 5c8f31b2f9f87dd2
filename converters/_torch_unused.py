"""Parameters of a module that take part in none of its outputs: PyTorch's exporter leaves them out without a word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram
    from torch.fx import Node

_NAMED = 4  # modules


def unused_parameters(program: ExportedProgram, named: Mapping[str, torch.Tensor], where: str) -> tuple[str, ...]:
    """Return a sentence on the parameters that reach no output, and the modules they are of; none where all reach one.

    A parameter counts once under all of its names. What is folded into other weights later on is in use here.

    Args:
        program: the functional form, in which whatever is written to is the result of what writes to it.
        named: parameters and buffers by their paths, of the program's own tensors. Buffers do not count, nor whole
            numbers of more than 8 bits, which are states of random generators and the like.
        where: the module in the sentence.
    """
    read = _read(program)
    buffers = {*program.graph_signature.buffers}
    own = {path: value for path, value in named.items() if path not in buffers and _is_parameter(value)}
    used = {path for path, value in own.items() if _identity(value) in read}
    unused = {path: value for path, value in own.items() if path not in used}
    if not unused:
        return ()
    sizes = {_identity(value): value.numel() for value in own.values()}
    dropped = sum(sizes[found] for found in {_identity(value) for value in unused.values()})
    busy = {prefix for path in used for prefix in _prefixes(path)}
    modules = list(dict.fromkeys(next((m for m in _prefixes(path) if m not in busy), path) for path in unused))
    more = f" and {len(modules) - _NAMED} more" if len(modules) > _NAMED else ""
    return (
        f"{where}: {dropped:,} of {sum(sizes.values()):,} parameters take part in no output and are not in the file: "
        f"those of {', '.join(map(repr, modules[:_NAMED]))}{more}",
    )


def _read(program: ExportedProgram) -> set[Any]:
    """Return the identities of the tensors that outputs are computed from."""
    signature = program.graph_signature
    paths = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    values = {**program.constants, **program.state_dict}
    returned = set(signature.user_outputs)
    end = next(iter(reversed(program.graph.nodes)))
    reached = _sources([node for node in end.all_input_nodes if node.name in returned])
    found = [values.get(paths.get(node.name, "")) for node in reached if node.op == "placeholder"]
    return {_identity(value) for value in found if value is not None and _is_parameter(value)}


def _sources(pending: list[Node]) -> set[Node]:
    """Return these nodes and all that they are computed from."""
    found: set[Node] = set()
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending.extend(node.all_input_nodes)
    return found


def _is_parameter(value: Any) -> bool:
    """Return whether this is a plain tensor of weights; other classes of tensors are traced as what is inside them."""
    import torch

    if type(value) not in (torch.Tensor, torch.nn.Parameter) or value.numel() == 0:
        return False
    return value.is_floating_point() or value.is_complex() or value.dtype in (torch.int8, torch.uint8)


def _identity(value: torch.Tensor) -> tuple[int, int]:
    """Return what tied tensors have in common: where their values lie, and how many there are."""
    return value.data_ptr(), value.numel()


def _prefixes(path: str) -> list[str]:
    """Return the paths of the modules around a parameter, the outermost first."""
    separator = "/" if "/" in path else "."
    parts = path.split(separator)
    return [separator.join(parts[:end]) for end in range(1, len(parts))]
