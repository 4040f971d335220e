"""Tables in files that are not lines of cells: arrays of NumPy, Parquet, JSON and JSON Lines."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from fnloop.core.formatting import short
from fnloop.data.builtin_tables import table_of_arrays
from fnloop.data.streams import open_bytes

MISSING_PYARROW = "Parquet needs pyarrow: python -m pip install 'fnloop[parquet]'"


def read_npz(path: str) -> Any:
    """Return the arrays `x` and `y` of an `.npz` file as a pandas frame.

    Args:
        path: The file.

    Raises:
        ValueError: If it is no `.npz` file, has no `x`, or the arrays are no table.
    """
    with open_bytes(path) as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("it must be an .npz file of NumPy")
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            if "x" not in arrays:
                raise ValueError(f"it must have an array 'x', got {short(', '.join(arrays))}")
            try:
                return table_of_arrays(arrays["x"], arrays.get("y"))
            except ValueError as error:
                if "allow_pickle" in str(error):
                    raise ValueError("its arrays must be of numbers or text, got Python objects") from None
                raise


def read_parquet(path: str) -> Any:
    """Return the table of a Parquet file as a pandas frame.

    Args:
        path: The file.

    Raises:
        ValueError: If pyarrow is not installed, or cannot read the file.
    """
    import pandas

    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ValueError(MISSING_PYARROW) from None
    with open_bytes(path) as file:
        return pandas.read_parquet(io.BytesIO(file.read()), engine="pyarrow")


def read_json_lines(path: str) -> Any:
    """Return the objects of a JSON Lines file, one a line, as the rows of a pandas frame.

    Args:
        path: The file.

    Raises:
        ValueError: If a line is no JSON object. The message has its number.
    """
    rows = []
    with open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                row = _parse(line, f"line {number}")
                if not isinstance(row, dict):
                    raise ValueError(f"line {number} must be an object, got {short(row)}")
                rows.append(row)
    return _frame(rows)


def read_json(path: str) -> Any:
    """Return the objects of a JSON list as the rows of a pandas frame.

    Args:
        path: The file.

    Raises:
        ValueError: If it is no list of JSON objects.
    """
    with open_bytes(path) as file:
        rows = _parse(file.read(), "it")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("JSON must be a list of objects, one for each row")
    return _frame(rows)


def _parse(data: bytes, what: str) -> Any:
    try:
        value = json.loads(data.decode("utf-8-sig"))
        if b"\\ud" in data.lower():
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} must be UTF-8, got byte {data[error.start]:#x}") from None
    except UnicodeEncodeError:
        raise ValueError(f"{what} has half a character: one code of a pair of surrogates alone") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{what} is not JSON: {error.msg} at character {error.pos + 1}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what} is not JSON that Python reads: {error}") from None


def _frame(rows: list[dict[str, Any]]) -> Any:
    import pandas

    return pandas.DataFrame(rows)


READERS: dict[str, Callable[[str], Any]] = {
    ".npz": read_npz,
    ".parquet": read_parquet,
    ".pq": read_parquet,
    ".json": read_json,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
}
