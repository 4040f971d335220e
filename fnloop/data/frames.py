"""Frames of any library as pandas frames."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

from fnloop.core.formatting import short


def as_pandas(name: str, value: Any) -> Any:
    """Return a frame of any library as a pandas frame whose column names are text.

    Args:
        name: Name of the argument, for messages.
        value: A frame of pandas, polars or another library that narwhals knows, or a mapping of names to columns.

    Raises:
        TypeError: If it is not a frame in memory, or has complex numbers.
        ValueError: If two columns have one name, the names have several levels, or there are no rows.
    """
    import narwhals
    import pandas

    if isinstance(value, Mapping):
        try:
            value = pandas.DataFrame(dict(value))
        except ValueError:
            raise ValueError(f"{name} must have columns of one length, got {short(dict(value))}") from None
    if not isinstance(value, pandas.DataFrame):
        frame = narwhals.from_native(value, pass_through=True)
        if not isinstance(frame, narwhals.DataFrame):
            hint = "; read it with collect()" if isinstance(frame, narwhals.LazyFrame) else ""
            hint = "; read the file with pandas.read_csv" if isinstance(value, str | PathLike) else hint
            raise TypeError(f"{name} must be a frame in memory, got {short(value)}{hint}")
        value = pandas.DataFrame({label: _as_series(frame[label]) for label in frame.columns})
    if value.columns.nlevels > 1:
        raise ValueError(f"{name} must have column names of one level, got {value.columns.nlevels}; join them first")
    labels = [str(label) for label in value.columns]
    if len(set(labels)) < len(labels):
        repeated = next(label for i, label in enumerate(labels) if label in labels[:i])
        raise ValueError(f"{name} must have unique column names, got {short(repeated)} twice")
    if not len(value) or not labels:
        raise ValueError(f"{name} must have at least one row and one column, got shape {value.shape}")
    frame = value.set_axis(labels, axis=1).reset_index(drop=True)
    return frame.assign(**{label: _plain(name, series) for label, series in frame.items() if _is_special(series)})


def _is_special(series: Any) -> bool:
    import pandas

    return series.dtype.kind in "cm" or isinstance(series.dtype, pandas.PeriodDtype)


def _plain(name: str, series: Any) -> Any:
    """Durations as seconds, and periods as the dates of their starts."""
    if series.dtype.kind == "c":
        raise TypeError(f"{name} must have real numbers, got {series.dtype} in column {short(series.name)}")
    return series.dt.total_seconds() if series.dtype.kind == "m" else series.dt.to_timestamp()


def _as_series(series: Any) -> Any:
    import pandas

    if series.dtype.is_numeric() and not series.is_null().any():
        return pandas.Series(series.to_numpy())
    return pandas.Series(series.to_list())
