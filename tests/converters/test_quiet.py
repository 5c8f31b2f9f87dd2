"""What the frameworks print, native code included: kept away, shown where asked for and where a conversion fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from wua_onnx.converters._quiet import reason

BEGIN = """
import os, sys
from wua_onnx.converters._quiet import converting, quiet, telling
from wua_onnx.errors import ConversionError
"""
SAY = "os.write(2, b'native\\n'); print('printed'); print('error', file=sys.stderr)"


def stderr_of(code: str, status: int = 0) -> str:
    """Return what a Python of its own writes to its stderr, descriptor 2; it must print nothing."""
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    return done.stderr


def test_what_is_printed_is_kept_away_and_the_streams_come_back() -> None:
    code = f"with converting('m', 'it'): {SAY}\nos.write(2, b'after, native\\n'); sys.stderr.write('after\\n')"
    assert stderr_of(code) == "after, native\nafter\n"


def test_verbose_shows_what_is_printed() -> None:
    shown = stderr_of(f"with telling(None, True):\n with converting('m', 'it'): {SAY}")
    assert sorted(shown.split()) == ["error", "native", "printed"]


def test_verbose_shows_native_text_even_where_the_process_dies() -> None:
    code = "with telling(None, True):\n with converting('m', 'it'): os.write(2, b'Check failed'); os._exit(3)"
    assert stderr_of(code, status=3) == "Check failed"


def test_what_was_printed_stands_in_the_error() -> None:
    code = (
        f"try:\n with converting('m', 'it'):\n  {SAY}\n  1 / 0\nexcept Exception as error: sys.stderr.write(str(error))"
    )
    shown = stderr_of(code)
    first, printed = shown.split("\nWhat the framework printed:\n")
    assert first == "m: expected it, got ZeroDivisionError: division by zero"
    assert sorted(printed.split()) == ["error", "native", "printed"]


def test_native_text_of_an_inner_part_is_that_of_the_part_that_fails() -> None:
    code = (
        "try:\n with converting('m', 'it'):\n"
        "  with converting('a', 'it'): os.write(2, b'first ')\n"
        "  with converting('b', 'it'): os.write(2, b'second'); 1 / 0\n"
        "except Exception as error: sys.stderr.write(str(error))"
    )
    assert stderr_of(code).splitlines() == [
        "b: expected it, got ZeroDivisionError: division by zero",
        "What the framework printed:",
        "second",
    ]


def test_native_text_is_cut_to_its_end() -> None:
    code = (
        "try:\n with converting('m', 'it'): os.write(2, b'x' * 100_000 + b'end'); 1 / 0\n"
        "except Exception as error: sys.stderr.write(str(error))"
    )
    shown = stderr_of(code)
    assert shown.endswith("xend")
    assert 1_000 < len(shown) < 10_000


def test_a_process_without_stderr_converts() -> None:
    assert stderr_of("os.close(2)\nwith converting('m', 'it'): pass\nwith quiet(): print('x')") == ""


def test_the_descriptor_comes_back_whichever_of_two_threads_ends_first() -> None:
    code = """
import threading
inside, leave = threading.Event(), threading.Event()
def first():
    with quiet():
        inside.set(); leave.wait()
thread = threading.Thread(target=first)
thread.start(); inside.wait()
from wua_onnx.converters._quiet import _native
with _native.caught():
    leave.set(); thread.join()
os.write(2, b'back')
"""
    assert stderr_of(code) == "back"


def test_a_package_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    """Installed but broken is not missing: another `pip install` would not help."""
    (tmp_path / "tf2onnx.py").write_text("import os; os.write(2, b'no AVX'); raise ImportError('libfoo.so is missing')")
    code = (
        f"sys.path.insert(0, {str(tmp_path)!r})\nfrom wua_onnx.converters._tf_import import import_package\n"
        "try: import_package('tf2onnx')\nexcept ConversionError as error: sys.stderr.write(str(error))"
    )
    assert stderr_of(code).splitlines() == [
        "the package tf2onnx: expected one that can be imported, got ImportError: libfoo.so is missing",
        "What the framework printed:",
        "no AVX",
    ]


def test_what_went_wrong_inside_of_what_keras_wraps_it_in() -> None:
    text = (
        "<class 'Sequential'> could not be deserialized properly.\n\nconfig={'module': 'keras'}.\n\n"
        "Exception encountered: Exception encountered when calling Mine.call().\n\n"
        "\x1b[1mCould not infer the shape of 'mine'. Error encountered:\n\nno such axis\x1b[0m\n\nArguments received"
    )
    assert reason(TypeError(text)) == (
        "TypeError: Exception encountered when calling Mine.call(). Could not infer the shape of 'mine'. "
        "Error encountered: no such axis"
    )
    assert reason(ValueError("one\ntwo\n\nthree")) == "ValueError: one two"
