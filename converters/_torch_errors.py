"""Where in a module an export failed, and what to try: PyTorch's own messages are pages long."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from wua_onnx.errors import ConversionError

from ._quiet import converting, quiet

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

_NODE = re.compile(r"translating node %(\w+)")
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
# A line of a traced graph, of which the end alone may be left.
_LISTING = re.compile(r'= torch\.ops\.|^\s*# File: |^\s+\w+(: "[^"]*")? = ')
_HINTS = (
    (
        r"data-dependent|DynamicControlFlow",
        "a branch depends on values: use torch.where or torch.cond in its place, and no .item()",
    ),
    (
        r"in module '[^']*parametrizations\.",
        "call torch.nn.utils.parametrize.remove_parametrizations on that layer of a copy of the module",
    ),
    (r"fused_moving_avg|fake_quant", "convert the module as it was before prepare_qat: this is for training"),
    (r"No ONNX function found|No decompositions", "use other operators there, or audit the parts around it"),
    (
        r"zeros\(\): argument 'size' failed",
        "give recurrent layers the padded sequences: packed ones cannot be exported",
    ),
    (r"numpy\(\)|\.item\(\)", "keep to operators of PyTorch in forward"),
    (r"not a known type|Unsupported.*type", "take and return tensors, tuples, dicts or dataclasses of them"),
    (r"shapes cannot be multiplied|size mismatch|expected input", "look at the shapes of X: samples lie along axis 0"),
)


def is_final(error: ConversionError) -> bool:
    """Return whether fewer free dimensions would not help: an operator has no equivalent."""
    return "No ONNX function found" in str(error)


@contextlib.contextmanager
def exporting(module: torch.nn.Module, where: str, expected: str) -> Iterator[None]:
    """Run the body, which runs or traces the module, quietly; say in which part of it an error arose.

    Raises:
        ConversionError: the body raised.
    """
    with _located(lambda cause: _place_of_call(module, cause)), converting(where, expected):
        yield


@contextlib.contextmanager
def translating(program: ExportedProgram, where: str) -> Iterator[None]:
    """Run the body, which turns the program into ONNX, quietly; say from which module an operator came that failed.

    Raises:
        ConversionError: the body raised.
    """
    with _located(lambda cause: _place_of_node(program, cause)), converting(where, "operators that ONNX can express"):
        yield


@contextlib.contextmanager
def _located(place: Any) -> Iterator[None]:
    try:
        yield
    except ConversionError as error:
        cause = error.__cause__
        if cause is None:
            raise
        found = place(cause)
        texts = [found, *map(str, _chain(cause))]
        hint = next((hint for pattern, hint in _HINTS if any(re.search(pattern, text) for text in texts)), None)
        head, mark, printed = str(error).partition("\nWhat the framework printed:")
        advice = f". To try: {hint}" if hint else ""
        rest = _telling(printed)
        raise ConversionError(f"{head}{found}{advice}{mark * bool(rest)}{rest}") from cause


def _telling(printed: str) -> str:
    """Return what PyTorch printed without the graph it had so far and a warning that it gives of its own code."""
    lines = printed.partition("\ndef forward(self")[0].splitlines()
    kept = [line for line in lines if "treespec" not in line and not _LISTING.search(line)]
    return "\n".join(kept) if any(map(str.strip, kept)) else ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__


def _place_of_call(module: torch.nn.Module, error: BaseException) -> str:
    """Return the innermost module and the innermost line of the author's in the error's traceback."""
    paths = {id(part): path for path, part in module.named_modules()}
    found, line = "", ""
    for cause in _chain(error):
        trace = cause.__traceback__
        while trace is not None:
            frame = trace.tb_frame
            owner = frame.f_locals.get(next(iter(frame.f_code.co_varnames), ""))  # the first argument
            if paths.get(id(owner)):
                found = f" in module {paths[id(owner)]!r} ({type(owner).__qualname__})"
            if paths.get(id(owner)) is not None and frame.f_code.co_name != "_call_impl" and _is_authors(frame):
                line = f", line {trace.tb_lineno} of {frame.f_code.co_filename}"
            trace = trace.tb_next
    return found + line


def _is_authors(frame: Any) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] not in ("torch", "wua_onnx")


def _place_of_node(program: ExportedProgram, error: BaseException) -> str:
    """Return the module and the line that an operator came from."""
    match = next((m for cause in _chain(error) if (m := _NODE.search(str(cause)))), None)
    if match is None:
        return ""
    same = [node for node in program.graph.nodes if node.name == match[1]]
    if not same:  # it was made of another operator before it was translated
        with contextlib.suppress(Exception), quiet():  # errors of any kind: the first one is what counts
            same = [node for node in program.run_decompositions().graph.nodes if node.name == match[1]]
    if not same:
        name = match[1].strip("_")  # linalg_svd becomes _linalg_svd
        same = [node for node in program.graph.nodes if node.op == "call_function" and node.name.endswith(name)]
    if not same:
        return f" at {match[1]}"
    path, kind = ([*(same[0].meta.get("nn_module_stack") or {}).values()] or [("", "")])[-1]
    lines = _FRAME.findall(same[0].meta.get("stack_trace") or "")
    place = f" in module {path!r} ({str(kind).rpartition('.')[2]})" if path else ""
    return place + (f", line {lines[-1][1]} of {lines[-1][0]}" if lines else "")
