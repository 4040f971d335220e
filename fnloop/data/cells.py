"""The cells of a pandas column as numbers or as text."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.data.date_text import parse_dates, seconds_of
from fnloop.data.number_text import parse_numbers

LARGEST_EXACT = 2**53  # float64 cannot represent all larger integers
LARGEST = 1e150  # the square of a larger number overflows float64


def is_numeric(series: Any) -> bool:
    """Return whether a column holds numbers; booleans are labels.

    Args:
        series: A pandas series.
    """
    import pandas

    return bool(pandas.api.types.is_numeric_dtype(series.dtype)) and not pandas.api.types.is_bool_dtype(series.dtype)


def is_category(series: Any) -> bool:
    """Return whether a column is stated to hold categories, by its dtype.

    Args:
        series: A pandas series.
    """
    import pandas

    return isinstance(series.dtype, pandas.CategoricalDtype)


def is_date(series: Any) -> bool:
    """Return whether a column holds dates.

    Args:
        series: A pandas series.
    """
    import pandas

    return bool(pandas.api.types.is_datetime64_any_dtype(series.dtype))


def text_cells(series: Any) -> tuple[Array, Array]:
    """Return the distinct texts of a column, and the index of each row's text among them; -1 for a missing cell.

    Args:
        series: A pandas series.

    Returns:
        The texts, of dtype object in order of appearance, and the indices, (N,).
    """
    import pandas

    if series.dtype.kind == "O" and pandas.api.types.infer_dtype(series).startswith("mixed"):
        series = series.map(_hashable)
    codes, values = pandas.factorize(series)
    texts = [_text(value) for value in values.tolist()]
    distinct: dict[str, int] = {}
    renumbered = np.array([distinct.setdefault(text, len(distinct)) if text else -1 for text in texts] + [-1], np.int64)
    array = np.empty(len(distinct), object)
    array[:] = list(distinct)
    return array, renumbered[codes]


def _hashable(value: Any) -> Any:
    """A value of a column of mixed types: lists as text, and booleans, which are equal to 1 and 0."""
    import pandas

    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, np.ndarray):  # Parquet has lists as arrays
        value = value.tolist()
    return None if pandas.api.types.is_scalar(value) and pandas.isna(value) else str(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 2**63 else str(value)


def number_cells(series: Any, decimal: str = ".") -> tuple[Array, Array]:
    """Return the numbers of a column, NaN for a missing one, and whether each cell has something else than a usable number.

    Infinite numbers, and those above 1e150 in size, are not usable.

    Args:
        series: A pandas series.
        decimal: The decimal mark of numbers in text.

    Returns:
        The numbers, float64 (N,), and the flags, (N,).
    """
    if is_numeric(series):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        present = ~np.isnan(values)
    else:
        texts, codes = text_cells(series)
        values = np.append(parse_numbers(list(texts), decimal), np.nan)[codes]
        present = codes >= 0
    usable = np.abs(values) <= LARGEST
    return np.where(usable, values, np.nan), present & ~usable


def date_cells(series: Any, date_format: str) -> tuple[Array, Array]:
    """Return the seconds since 1970 of a column of dates, NaN for a missing one, and whether each cell has something else.

    Args:
        series: A pandas series.
        date_format: The format of dates in text.
    """
    if is_date(series):
        values = seconds_of(series)
        return values, np.zeros(len(values), bool)
    texts, codes = text_cells(series)
    values = np.append(parse_dates(list(texts), date_format), np.nan)[codes]
    return values, (codes >= 0) & np.isnan(values)
