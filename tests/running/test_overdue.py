"""Runs that take too long are told to end, by one thread for all of them."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

from wua_onnx.running.overdue import Overdue

PATIENCE = 60.0  # seconds after which a test gives up


def told_to_end(options: SimpleNamespace) -> bool:
    until = time.monotonic() + PATIENCE
    while not options.terminate and time.monotonic() < until:
        time.sleep(0.01)
    return bool(options.terminate)


def run() -> SimpleNamespace:
    return SimpleNamespace(terminate=False)


def test_only_what_is_overdue_is_told_to_end() -> None:
    overdue, short, long = Overdue(), run(), run()
    with overdue.after(3600, long), overdue.after(0.05, short):  # the thread sleeps an hour when the second begins
        assert told_to_end(short)
    assert not long.terminate


def test_what_follows_an_overdue_run_has_its_own_time() -> None:
    overdue, first, second, third = Overdue(), run(), run(), run()
    with overdue.after(0.05, first):
        assert told_to_end(first)
    with overdue.after(3600, second):
        pass
    with overdue.after(0.05, third):
        assert told_to_end(third)
    assert not second.terminate


def test_a_run_that_ended_in_time_is_left_alone() -> None:
    overdue, ended, late = Overdue(), run(), run()
    with overdue.after(0.2, ended):
        pass
    with overdue.after(0.3, late):
        assert told_to_end(late)
    assert not ended.terminate


def test_many_runs_need_one_thread_which_ends_after_them() -> None:
    overdue, threads = Overdue(), set()
    for _ in range(101):
        with overdue.after(0.5, run()):
            threads.add(overdue._thread)
    (thread,) = threads
    assert isinstance(thread, threading.Thread)
    assert thread.daemon
    thread.join(PATIENCE)
    assert not thread.is_alive()
    with overdue.after(0.05, again := run()):
        assert told_to_end(again)
