"""Keeping what the frameworks print out of the user's way, and turning what they raise into errors of the project."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Container, Iterator
from contextvars import ContextVar
from typing import IO, Any

from wua_onnx.errors import ConversionError, WuaError

_FRAMEWORKS = ("absl", "jax", "keras", "onnx_ir", "onnxscript", "tensorflow", "tf2onnx", "torch")
_verbose: ContextVar[bool] = ContextVar("verbose", default=False)
_told: ContextVar[Callable[[str], None] | None] = ContextVar("told", default=None)
_COLOURS = re.compile(r"\x1b\[[\d;]*m")
_REBUILDING = "\n\nException encountered: "
_WRAPPING = (".call().", "Error encountered:")
_REASON = 1_000  # characters of a framework's message that are passed on
# What TensorFlow's native code says of itself, before anything goes wrong.
_CHATTER = re.compile(r"^(I\d{4} \d\d:|WARNING: All log messages before absl::).*\n?", re.MULTILINE)
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


class _Native:
    """What native code, TensorFlow's logs among it, writes to file descriptor 2 while a conversion runs.

    A process has one such descriptor: conversions inside of each other, or in several threads, share what is caught.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._file: IO[bytes] | None = None

    @contextlib.contextmanager
    def caught(self) -> Iterator[Callable[[], str]]:
        """Keep from the user what the body writes; yields a function that returns the end of it so far."""
        with contextlib.ExitStack() as stack:
            with self._lock:
                if self._file is None:
                    stack.enter_context(self._replaced())
                start = 0 if self._file is None else _size(self._file)
            yield lambda: self._since(start)

    @contextlib.contextmanager
    def _replaced(self) -> Iterator[None]:
        """Put a file in the place of descriptor 2."""
        try:
            kept = os.dup(2)
        except OSError:  # the process has no stderr
            yield
            return
        with tempfile.TemporaryFile() as file:
            self._file = file
            os.dup2(file.fileno(), 2)
            try:
                yield
            finally:
                with self._lock:
                    os.dup2(kept, 2)
                    os.close(kept)
                    self._file = None

    def _since(self, start: int) -> str:
        """Return the last of what was written since the file was `start` bytes long."""
        with self._lock:
            if self._file is None:
                return ""
            end = _size(self._file)
            first = max(start, end - _NOISE)
            return os.pread(self._file.fileno(), end - first, first).decode(errors="replace")


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size


_native = _Native()


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Collect what is printed, logged and warned of, by native code as well, in place of showing it.

    Where the user asked for it, what native code writes goes straight to stderr: a crash cannot take it along.
    """
    noise = io.StringIO()
    with (
        contextlib.ExitStack() as stack,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        written = str if _verbose.get() else stack.enter_context(_native.caught())
        stack.enter_context(_quiet_loggers(noise))
        stack.enter_context(contextlib.redirect_stdout(noise))
        stack.enter_context(contextlib.redirect_stderr(noise))
        try:
            yield noise
        finally:
            noise.write("".join(f"{warning.category.__name__}: {warning.message}\n" for warning in caught))
            noise.write(written())


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
        printed = _CHATTER.sub("", noise.getvalue()).strip()
        if printed and why[-60:] not in printed:  # a log of the same error would say it twice
            text += f"\nWhat the framework printed:\n{printed[-_NOISE:]}"
        raise ConversionError(text) from error


@contextlib.contextmanager
def telling(tell: Callable[[str], None] | None, verbose: bool) -> Iterator[None]:
    """Tell `tell` of each step of a conversion in the body; where `verbose`, show what the frameworks print.

    What was asked for around the body still holds where nothing else is asked for.
    """
    tokens = _told.set(tell or _told.get()), _verbose.set(verbose or _verbose.get())
    try:
        yield
    finally:
        _told.reset(tokens[0])
        _verbose.reset(tokens[1])


def is_verbose() -> bool:
    """Return whether the user asked to see what the frameworks print."""
    return _verbose.get()


def step(text: str) -> None:
    """Say what comes next to whoever asked to be told."""
    tell = _told.get()
    if tell is not None:
        tell(text)


def reason(error: BaseException) -> str:
    """Return the kind of the error that started it all and the first paragraph of its message.

    Keras wraps what went wrong in a model that it rebuilds, in a layer that it calls: there the paragraphs up to it.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    told = _COLOURS.sub("", str(error)).strip().rpartition(_REBUILDING)[2]
    first, *others = re.split(r"\n\s*\n", told)
    while others and first.endswith(_WRAPPING):
        first += f" {others.pop(0)}"
    return f"{type(error).__name__}: {' '.join(first.split())[:_REASON]}"


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
