"""Data frames, for which pandas is imported only when one is asked for."""

from __future__ import annotations

from typing import Any

from wua_onnx.errors import MissingDependency


def data_frame(data: Any, index: Any = None) -> Any:
    """Return `pandas.DataFrame(data, index)`.

    Raises:
        MissingDependency: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingDependency("pandas", "pandas", "a data frame") from error
    return pandas.DataFrame(data, index=index)
