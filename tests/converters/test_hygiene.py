"""Which frameworks get imported, and what they print."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from .shared import saved

FRAMEWORKS = {"torch", "tensorflow", "keras", "tf2onnx", "onnxscript", "onnxruntime"}
MODULES = "print(*{name.split('.')[0] for name in sys.modules})"


def in_fresh_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run the code in a Python of its own, where nothing has been imported yet."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_import_and_dispatch_load_no_framework() -> None:
    code = (
        "import sys; from wua_onnx.converters import is_convertible\n"
        f"assert is_convertible('a.keras') and is_convertible('a.pt2') and not is_convertible(sys)\n{MODULES}"
    )
    names = set(in_fresh_python(code).stdout.split())
    assert "wua_onnx" in names
    assert names & (FRAMEWORKS | {"onnx_ir", "sympy"}) == set()


def test_torch_module_loads_no_tensorflow_and_nothing_is_printed(tmp_path: Path) -> None:
    code = (
        "import sys, torch; from wua_onnx.converters import to_onnx\n"
        f"to_onnx(torch.nn.Linear(5, 3), {str(tmp_path / 'm.onnx')!r}, torch.ones(2, 5))\n"
        f"sys.stderr.write('end'); {MODULES}"
    )
    done = in_fresh_python(code)
    assert set(done.stdout.split()) & {"tensorflow", "keras", "tf2onnx"} == set()
    assert done.stderr == "end"
    assert len(done.stdout.splitlines()) == 1


def test_keras_file_loads_no_torch_and_nothing_is_printed(tmp_path: Path) -> None:
    """The file is written here; it is read, which loads TensorFlow, by a Python that may print nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, activation="gelu")])
    file = saved(model, tmp_path / "m.keras")
    code = (
        f"import sys; from wua_onnx.converters import to_onnx; to_onnx({str(file)!r}, {str(tmp_path / 'm.onnx')!r})\n"
        f"sys.stderr.write('end'); {MODULES}"
    )
    done = in_fresh_python(code)
    names = set(done.stdout.split())
    assert "tensorflow" in names
    assert "torch" not in names
    assert done.stderr == "end"
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("absent", "file", "extra"),
    [("torch", "m.pt2", "torch"), ("keras", "m.keras", "tensorflow"), ("tensorflow", "folder", "tensorflow")],
)
def test_missing_framework_names_the_extra(tmp_path: Path, absent: str, file: str, extra: str) -> None:
    target = tmp_path / file
    if file == "folder":
        target.mkdir()
        target = target / "saved_model.pb"
    target.write_bytes(b"")
    code = (
        f"import sys; sys.modules[{absent!r}] = None\n"
        "from wua_onnx.converters import to_onnx; from wua_onnx.errors import MissingDependency\n"
        f"try: to_onnx({str(tmp_path / file)!r}, {str(tmp_path / 'm.onnx')!r})\n"
        "except MissingDependency as error: print(error)\n"
    )
    assert f"pip install 'wua-onnx[{extra}]'" in in_fresh_python(code).stdout
