"""Reading the JSON of an audit: of which schema version it is, converted where it is an older one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from wua_onnx._files import none_there
from wua_onnx._text import visible
from wua_onnx.errors import DataError
from wua_onnx.report.comparison_view import SCHEMA_VERSION as COMPARISON_VERSION
from wua_onnx.report.view import SCHEMA_VERSION

__all__ = ["SCHEMA_VERSION", "UPGRADES", "is_comparison", "read_audit", "read_report", "read_result", "well_formed"]

Json: TypeAlias = dict[str, Any]

# From each older version to the next one; a change of `docs/audit.schema.json` that is no addition adds one here.
UPGRADES: Mapping[int, Callable[[Json], Json]] = {}
_EXPECTED = "expected the JSON of an audit, as `wua-onnx analyze --json` writes it"
_PARTS = ("tool", "model", "settings", "cost", "recording", "totals", "coverage", "layers", "findings", "diagrams")


def read_audit(path: str | Path) -> Json:
    """Return the JSON of the audit in `path`, in the present schema version.

    Raises:
        DataError: the file cannot be read, is no JSON, no audit, or one of a version that is not known.
    """
    return _audit(path, _loaded(path))


def _audit(path: str | Path, data: Any) -> Json:
    found = _result(path, data)
    if "schema_version" not in found:
        raise DataError(f"{visible(path)}: {_EXPECTED}, got that of a cost report")
    return found


def read_result(path: str | Path) -> Json:
    """Return the JSON of an audit as `read_audit` does, or that of a cost report, which has no `schema_version`.

    Raises:
        DataError: the file cannot be read, is no JSON, neither of the two, or an audit of a version that is not known.
    """
    return _result(path, _loaded(path))


def _result(path: str | Path, data: Any) -> Json:
    if isinstance(data, dict) and "schema_version" not in data and {"by_node", "macs"} <= data.keys():
        return data
    if not isinstance(data, dict) or "schema_version" not in data:
        raise DataError(f"{visible(path)}: {_EXPECTED}, got something else")
    if is_comparison(data):
        raise DataError(f"{visible(path)}: {_EXPECTED}, got that of a comparison")
    found = _upgraded(path, data)
    missing = [part for part in _PARTS if part not in found]
    if missing:
        raise DataError(f"{visible(path)}: expected the JSON of an audit, got one without {', '.join(missing)}")
    return found


def read_report(path: str | Path) -> Json:
    """Return the JSON of an audit as `read_audit` does, or that of a comparison.

    Raises:
        DataError: the file cannot be read, is no JSON, neither of the two, or of a version that is not known.
    """
    data = _loaded(path)
    if not is_comparison(data):
        return _audit(path, data)
    if data.get("schema_version") != COMPARISON_VERSION:
        got = visible(repr(data.get("schema_version")), 60)
        raise DataError(f"{visible(path)}: expected a comparison of schema version {COMPARISON_VERSION}, got {got}")
    return dict(data)


def is_comparison(data: Any) -> bool:
    """Return whether this is what `wua-onnx compare --json` writes."""
    return isinstance(data, dict) and {"figures", "before", "after"} <= data.keys()


def _loaded(path: str | Path) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{visible(path)}: expected the JSON of an audit, got {_problem(path, error)}") from None


def _problem(path: str | Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return none_there(Path(path))
    if isinstance(error, UnicodeDecodeError):
        return "a file that is no text"
    return error.strerror if isinstance(error, OSError) and error.strerror else visible(error, 300)


def _upgraded(path: str | Path, data: Json) -> Json:
    version = data["schema_version"]
    if type(version) is int and version > SCHEMA_VERSION:
        raise DataError(
            f"{visible(path)}: expected an audit of schema version {SCHEMA_VERSION}, got {visible(version, 60)}: "
            "a newer wua-onnx wrote it, and can read it"
        )
    while type(version) is int and version in UPGRADES and version < SCHEMA_VERSION:
        data = UPGRADES[version](data)
        version = data["schema_version"]
    if version != SCHEMA_VERSION or type(version) is not int:
        raise DataError(
            f"{visible(path)}: expected an audit of schema version {SCHEMA_VERSION}, got {visible(repr(version), 60)}"
        )
    return data


@contextmanager
def well_formed(path: str | os.PathLike[str], what: str = "audit") -> Iterator[None]:
    """Turn what a malformed audit or comparison makes readers stumble over into a DataError that names its file."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        problem = visible(f"{type(error).__name__}: {why}", 300)
        fits = f"expected an {what} that fits docs/{what}.schema.json".replace("an c", "a c")
        raise DataError(f"{visible(path)}: {fits}, got {problem}") from error


def _refuse(name: str) -> None:
    raise ValueError(f"{name}, which is no JSON")
