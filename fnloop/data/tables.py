"""Tables from files and from scikit-learn: column names mapped to 1-dimensional arrays of float64 or text."""

import csv
import os
from collections.abc import Mapping

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.formatting import listed, short
from fnloop.core.signatures import did_you_mean
from fnloop.data.dataset import check_array

Table = Mapping[str, Array]
DATASET_NAMES = ("lab", "digits", "breast_cancer", "wine", "diabetes", "iris")


def builtin_table(name: str) -> tuple[dict[str, Array], str]:
    """Return one of the datasets in `DATASET_NAMES` as a table, with the name of its target.

    Labels are text if scikit-learn has names for them.

    Args:
        name: One of `DATASET_NAMES`.
    """
    from sklearn import datasets

    if name == "lab":
        x, y = datasets.make_classification(
            n_samples=1000,
            n_features=10,
            n_redundant=0,
            n_informative=8,
            n_clusters_per_class=1,
            class_sep=1.2,
            random_state=42,
        )
        return from_arrays(x, y), "target"
    bunch = getattr(datasets, f"load_{name}")()
    y = bunch.target
    if name not in {"diabetes", "digits"}:
        y = np.asarray(bunch.target_names)[y]
    columns = dict(zip(bunch.feature_names, np.asarray(bunch.data, dtype=np.float64).T, strict=True))
    return {**columns, "target": column(y, "target")}, "target"


def read_table(path: str, target: str | None = None) -> tuple[dict[str, Array], str | None]:
    """Return the table of a file, with the name of its target, or None if it has none.

    The file is a CSV file with a header, or an `.npz` file with `x` and, optionally, `y`. The target of a CSV file is its last
    column by default. A target of codes with leading zeros, such as 00501, stays text.

    Args:
        path: Path of the file.
        target: Name of the target column; None for the file's default.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If the file is not such a table. The message has the row or the column.
    """
    if path.endswith(".npz"):
        table, file_target = _read_npz(path)
        return table, target or file_target
    return _read_csv(path, target)


def from_arrays(x: Array, y: Array | None = None) -> dict[str, Array]:
    """Return arrays as a table with the columns `x0`, `x1`, ... and, if there are targets, `target`.

    Args:
        x: The features, (N, D).
        y: The targets, (N,) or (N, 1), or None.

    Raises:
        TypeError: If an array is not numeric (or, for y, text).
        ValueError: If the shapes do not match, or a value is not finite.

    Examples:
        >>> from_arrays(np.array([[1.0, 2.0]]), np.array([0]))
        {'x0': array([1.]), 'x1': array([2.]), 'target': array([0.])}
    """
    check_array("x", x, ndims=(2,))
    table = {f"x{i}": np.asarray(values, dtype=np.float64) for i, values in enumerate(x.T)}
    if y is None:
        return table
    if len(x) != len(y):
        raise ValueError(f"x and y must have the same length, got {len(x)} and {len(y)}")
    return {**table, "target": column(y, "y")}


def column(values: Array, name: str) -> Array:
    """Return values as a table column of float64 or text, (N,).

    Args:
        values: Numbers or text, (N,) or (N, 1).
        name: Name of the column, for messages.

    Raises:
        TypeError: If the values are neither numbers nor text.
        ValueError: If the shape is another, a value is not finite, or an integer is larger than float64 can represent exactly.
    """
    values = np.asarray(values)
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.ndim != 1:
        raise ValueError(f"{name} must be of shape (N,) or (N, 1), got {values.shape}")
    if values.dtype.kind in "US":
        return values.astype(str)
    check_array(name, values, ndims=(1,))
    if values.dtype.kind in "iu" and np.any((values > 2**53) | (values < -(2**53))):
        raise ValueError(
            f"{name} must be integers of at most 2**53 in size, got {np.abs(values).max()}; store larger ones as text"
        )
    return values.astype(np.float64)


def _read_npz(path: str) -> tuple[dict[str, Array], str | None]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if "x" not in arrays:
                raise ValueError(f"it must have an array 'x', got {listed(arrays)}")
            y = arrays.get("y")
            return from_arrays(arrays["x"], y), None if y is None else "target"
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path}: not a valid table: {error}") from None


def _read_csv(path: str, target: str | None) -> tuple[dict[str, Array], str]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        try:
            lines = [row for row in csv.reader(file) if row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not a CSV file: {error}") from None
    if len(lines) < 2:
        raise ValueError(f"{path}: a CSV file must have a header and at least one row, got {len(lines)} lines")
    _check_commas(lines[0], path)
    header, rows = [name.strip() for name in lines[0]], lines[1:]
    if len(set(header)) < len(header) or not all(header):
        raise ValueError(f"{path}: the header must have a unique name for each column, got {listed(header)}")
    if all(_is_number(name) for name in header):
        raise ValueError(f"{path}: the first line must be a header with column names, got {','.join(lines[0])}")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(f"{path}: row {number} must have {len(header)} cells, like the header, got {len(row)}")
    target = target or header[-1]
    columns = {name: [row[i].strip() for row in rows] for i, name in enumerate(header)}
    table = {name: _parse(cells, name, path) for name, cells in columns.items()}
    return table | {name: np.array(cells) for name, cells in columns.items() if name == target and _are_codes(cells)}, target


def _check_commas(first: list[str], path: str) -> None:
    """Raise if the cells are separated by something other than commas; the first line is then a single cell."""
    separators = [name for character, name in _SEPARATORS.items() if character in first[0]]
    if len(first) == 1 and separators:
        raise ValueError(
            f"{path}: cells must be separated by commas, but the first line has {separators[0]}; save the file with commas"
        )


_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def _parse(cells: list[str], name: str, path: str) -> Array:
    if "" in cells:
        raise ValueError(f"{path}: column {short(name)} has an empty cell in row {cells.index('') + 2}")
    if not all(_is_number(cell) for cell in cells):
        return np.array(cells)
    values = np.array([float(cell) for cell in cells])
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ValueError(f"{path}: column {short(name)} must be finite, got {cells[bad[0]]} in row {bad[0] + 2}")
    return values


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _are_codes(cells: list[str]) -> bool:
    """Whether integers are codes that must stay text: with a leading zero, or different codes that are equal as floats."""
    integers = {cell for cell in cells if cell.isdecimal()}
    has_leading_zero = any(cell[0] == "0" and len(cell) > 1 for cell in integers)
    return has_leading_zero or len({float(cell) for cell in integers}) < len(integers)


def load_table(data: str, target: str | None = None) -> tuple[dict[str, Array], str | None]:
    """Return the table of a file or of a built-in dataset, with the name of its target.

    Args:
        data: Path of a CSV or `.npz` file, or one of `DATASET_NAMES`. A file of that name has precedence.
        target: Name of the target column; None for the default of the file or dataset.

    Raises:
        OSError: If there is no such file, or it cannot be read.
        ValueError: If the file is not a table.
    """
    if data in DATASET_NAMES and not os.path.exists(data):
        table, dataset_target = builtin_table(data)
        return table, target or dataset_target
    if not os.path.exists(data):
        raise FileNotFoundError(
            f"no such file: {short(data)}{did_you_mean(data, DATASET_NAMES)}; "
            f"data are a CSV or .npz file, or one of {', '.join(DATASET_NAMES)}"
        )
    if os.path.isdir(data):
        raise IsADirectoryError(f"data must be a CSV or .npz file, got the folder {short(data)}")
    return read_table(data, target)
