"""Progress of a recording, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Tell: TypeAlias = Callable[[int, int | None], None]


@contextmanager
def reporting(progress: Any, samples: int | None) -> Iterator[Tell | None]:
    """Yield what to tell (samples done, samples in all or None): a bar on stderr, the caller's function, or nothing.

    Args:
        progress: True for a bar, a function, or None.
        samples: samples in all, where known.
    """
    if progress is None or progress is False:
        yield None
    elif callable(progress):
        yield progress
    elif sys.stderr.isatty():
        yield from _bar(samples)
    else:
        yield from _lines()


def _bar(samples: int | None) -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("recording"), BarColumn(), MofNCompleteColumn(), TextColumn("samples"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("recording", total=samples)
        yield lambda done, whole: bar.update(task, completed=done, total=whole)


def _lines() -> Iterator[Tell]:
    """One line when it is over: a log is no place for a bar."""
    last: list[int] = [0]

    def tell(done: int, whole: int | None) -> None:
        last[0] = done

    yield tell
    print(f"recorded {last[0]:,} samples", file=sys.stderr)
