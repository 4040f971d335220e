"""Dates as people write them: the one format of a column, and its dates as seconds."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from fnloop.core.arrays import Array

_TIME = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AP]M)?(?:Z|[-+]\d{2}:?\d{2})?)?"
_SHAPES = {  # a pattern of a column's cells, and the formats that may have made them
    rf"\d{{4}}-\d{{1,2}}-\d{{1,2}}{_TIME}": ("ISO8601",),
    rf"\d{{4}}/\d{{1,2}}/\d{{1,2}}{_TIME}": ("%Y/%m/%d",),
    rf"\d{{1,2}}/\d{{1,2}}/\d{{4}}{_TIME}": ("%m/%d/%Y", "%d/%m/%Y"),
    r"\d{1,2}/\d{1,2}/\d{2}": ("%m/%d/%y", "%d/%m/%y"),
    rf"\d{{1,2}}\.\d{{1,2}}\.\d{{4}}{_TIME}": ("%d.%m.%Y",),
    r"\d{1,2}-\d{1,2}-\d{4}": ("%d-%m-%Y", "%m-%d-%Y"),
    r"[A-Za-z]{3} \d{1,2},? \d{4}": ("%b %d %Y", "%b %d, %Y"),
    r"[A-Za-z]{3,9} \d{1,2},? \d{4}": ("%B %d %Y", "%B %d, %Y"),
    r"\d{1,2} [A-Za-z]{3} \d{4}": ("%d %b %Y",),
    r"\d{1,2}-[A-Za-z]{3}-\d{2}": ("%d-%b-%y",),
    r"\d{1,2}-[A-Za-z]{3}-\d{4}": ("%d-%b-%Y",),
    r"[A-Za-z]{3} \d{4}": ("%b %Y",),
}
_PATTERNS = {re.compile(shape): formats for shape, formats in _SHAPES.items()}
ALMOST_ALL = 0.95


def find_date_formats(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the formats that fit almost all of the texts, the best first; () if they are not dates.

    Several formats fit if no day is above 12.

    Args:
        texts: The texts.

    Examples:
        >>> find_date_formats(["2024-01-31", "2024-02-01"])
        ('ISO8601',)
        >>> find_date_formats(["31/01/2024", "01/02/2024"]), find_date_formats(["red", "blue"])
        (('%d/%m/%Y',), ())
    """
    sample = list(texts[:200])
    for pattern, formats in _PATTERNS.items():
        if sample and sum(pattern.fullmatch(text) is not None for text in sample) >= ALMOST_ALL * len(sample):
            has_time = any(":" in text for text in sample)
            chosen = [_with_time(name, sample) if has_time and name != "ISO8601" else name for name in formats]
            fitting = [(float(np.isfinite(parse_dates(texts, name)).mean()), name) for name in chosen]
            best = max(share for share, _ in fitting)
            return tuple(name for share, name in fitting if share == best >= ALMOST_ALL)
    return ()


def _with_time(name: str, sample: Sequence[str]) -> str:
    seconds = any(text.count(":") > 1 for text in sample)
    hour, half = ("%I", " %p") if any(text.endswith("M") for text in sample) else ("%H", "")
    return f"{name} {hour}:%M{':%S' if seconds else ''}{half}"


def parse_dates(texts: Sequence[str], date_format: str) -> Array:
    """Return the seconds since 1970 of dates; NaN for a text that is none.

    Args:
        texts: The texts, (N,).
        date_format: A format of `strptime`, or `"ISO8601"`.

    Examples:
        >>> parse_dates(["1970-01-02", "soon"], "ISO8601")
        array([86400.,    nan])
    """
    import pandas

    dates = pandas.to_datetime(pandas.Series(list(texts), dtype=object), format=date_format, errors="coerce", utc=True)
    return seconds_of(dates)


def seconds_of(dates: Any) -> Array:
    """Return the seconds since 1970 of a pandas series of dates; NaN for a missing one.

    Args:
        dates: The series, of a datetime dtype with or without a time zone.
    """
    if dates.dt.tz is not None:
        dates = dates.dt.tz_convert("UTC").dt.tz_localize(None)
    values = dates.to_numpy().astype("datetime64[us]")
    return np.where(np.isnat(values), np.nan, values.astype(np.int64) / 1e6)
