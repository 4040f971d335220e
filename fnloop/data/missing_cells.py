"""Texts that the user states to mean a missing cell, such as `"-99"` or `"unknown"`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fnloop.core.formatting import short
from fnloop.data.cells import is_numeric, text_cells


def check_missing(name: str, value: Any) -> tuple[str, ...]:
    """Return texts of missing cells as a tuple; a number becomes its text.

    Args:
        name: Name of the argument, for messages.
        value: A sequence of texts and numbers.

    Raises:
        TypeError: If it is not a sequence, or an item is neither a text nor a number.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | set | frozenset | np.ndarray):
        raise TypeError(f"{name} must be a sequence of texts of missing cells, such as ['-99'], got {short(value)}")
    for item in value:
        if isinstance(item, bool) or not isinstance(item, str | int | float):
            raise TypeError(
                f"{name} must be a sequence of texts of missing cells, such as ['-99'], got the item {short(item)}"
            )
    return tuple(str(item) for item in value)


def without_missing(frame: Any, texts: Sequence[str]) -> Any:
    """Return a frame in which the cells of these texts are missing; in a column of numbers, those of these numbers.

    Args:
        frame: A pandas frame.
        texts: The texts.
    """
    columns = {name: _without(frame[name], texts) for name in frame.columns} if texts else {}
    return frame.assign(**{name: series for name, series in columns.items() if series is not frame[name]})


def _without(series: Any, texts: Sequence[str]) -> Any:
    if series.dtype.kind in "mM":
        return series
    if is_numeric(series):
        flags = series.isin([number for number in map(_number, texts) if number is not None]).to_numpy(bool)
        if series.dtype.kind in "iu" and flags.any():
            series = series.astype("Int64" if series.dtype.kind == "i" else "UInt64")  # float64 rounds those beyond 2^53
    else:
        found, codes = text_cells(series)
        flags = np.append(np.isin(found, list(texts)), False)[codes]
    return series.mask(flags) if flags.any() else series


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None
