"""Keeping what the frameworks print out of the user's way, and turning what they raise into errors of the project."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Container, Iterator
from contextvars import ContextVar
from typing import Any

from wua_onnx.errors import ConversionError, WuaError

_FRAMEWORKS = ("absl", "jax", "keras", "onnx_ir", "onnxscript", "tensorflow", "tf2onnx", "torch")
_verbose: ContextVar[bool] = ContextVar("verbose", default=False)
_told: ContextVar[Callable[[str], None] | None] = ContextVar("told", default=None)
_REASON = 1_000  # characters of a framework's message that are passed on
_NOISE = 2_000  # characters of what it printed that are passed on, the last ones


def _handlers_on(streams: Container[object]) -> Iterator[logging.StreamHandler[Any]]:
    """Yield the handlers of the frameworks' loggers that write to one of `streams`."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.partition(".")[0] in _FRAMEWORKS:
            for handler in logger.handlers:
                if isinstance(handler, logging.StreamHandler) and handler.stream in streams:
                    yield handler


@contextlib.contextmanager
def _quiet_loggers(noise: io.StringIO) -> Iterator[None]:
    """Point the handlers of the frameworks' loggers, which hold the stream they were made with, at `noise`.

    A handler made meanwhile holds `noise` itself: it is given the real stream at the end.
    """
    before = {handler: handler.stream for handler in _handlers_on((sys.stdout, sys.stderr))}
    for handler in before:
        handler.setStream(noise)
    try:
        yield
    finally:
        for handler in _handlers_on((noise,)):
            handler.setStream(before.get(handler, sys.stderr))


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Collect what Python code prints, logs and warns of, in place of showing it.

    What native code writes to the process's streams is not caught.
    """
    noise = io.StringIO()
    with (
        contextlib.ExitStack() as stack,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        stack.enter_context(_quiet_loggers(noise))
        stack.enter_context(contextlib.redirect_stdout(noise))
        stack.enter_context(contextlib.redirect_stderr(noise))
        try:
            yield noise
        finally:
            noise.write("".join(f"{warning.category.__name__}: {warning.message}\n" for warning in caught))


@contextlib.contextmanager
def converting(where: str, expected: str) -> Iterator[None]:
    """Run the body quietly; what a framework raises in it becomes a ConversionError.

    Args:
        where: what is converted, the first part of the message.
        expected: what should have been possible, the second part.

    Raises:
        ConversionError: the body raised; the message holds the framework's reason and the end of what it printed.
    """
    noise = io.StringIO()
    try:
        try:
            with quiet() as noise:
                yield
        finally:
            if _verbose.get() and noise.getvalue():
                sys.stderr.write(noise.getvalue())
    except WuaError:
        raise
    except Exception as error:  # each framework raises kinds of its own, RuntimeError and ValueError among them
        why = reason(error)
        text = f"{where}: expected {expected}, got {why}"
        printed = noise.getvalue().strip()
        if printed and why[-60:] not in printed:  # a log of the same error would say it twice
            text += f"\nWhat the framework printed:\n{printed[-_NOISE:]}"
        raise ConversionError(text) from error


@contextlib.contextmanager
def telling(tell: Callable[[str], None] | None, verbose: bool) -> Iterator[None]:
    """Tell `tell` of each step of a conversion in the body; where `verbose`, show what the frameworks print."""
    tokens = _told.set(tell), _verbose.set(verbose)
    try:
        yield
    finally:
        _told.reset(tokens[0])
        _verbose.reset(tokens[1])


def step(text: str) -> None:
    """Say what comes next to whoever asked to be told."""
    tell = _told.get()
    if tell is not None:
        tell(text)


def reason(error: BaseException) -> str:
    """Return the kind of the error that started it all and the first paragraph of its message.

    Where PyTorch's exporter failed at an operator, that and the author's line are added.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    paragraph = re.split(r"\n\s*\n", str(error).strip(), maxsplit=1)[0]
    return f"{type(error).__name__}: {' '.join(paragraph.split())[:_REASON]}"


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables for the body only."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
