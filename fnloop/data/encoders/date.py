"""Dates: the time elapsed, and the parts that recur: time of the year, day of the week, time of the day."""

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.records import frozen
from fnloop.data.encoders.number import NumberEncoder, fit_number
from fnloop.data.schema import Cells

DAY = 86400.0
PERIODS = {"year": 365.2425 * DAY, "week": 7 * DAY, "day": DAY}


@frozen
class DateEncoder:
    """Encode a column of dates as the elapsed time, and the sine and cosine of its place in each period.

    Args:
        column: Name of the column.
        elapsed: The encoder of the seconds since 1970.
        periods: The periods, `"year"`, `"week"` or `"day"`, in which the dates of the training part differ.
    """

    column: str
    elapsed: NumberEncoder
    periods: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return self.elapsed.width + 2 * len(self.periods)

    def encode(self, cells: Cells) -> tuple[Array, Array]:
        """Return the encoded cells, (N, width), and whether each is no date, (N,); a missing date has zeros.

        Args:
            cells: The cells of the column.
        """
        elapsed, odd = self.elapsed.encode(cells)
        parts = [elapsed]
        for name in self.periods:
            angle = 2 * np.pi * _place(cells.values, name)
            parts.append(np.nan_to_num(np.stack([np.sin(angle), np.cos(angle)], axis=1)))
        return np.concatenate(parts, axis=1), odd


def _place(seconds: Array, period: str) -> Array:
    return (seconds / PERIODS[period]) % 1.0


def fit_date(name: str, cells: Cells) -> DateEncoder | None:
    """Return the encoder of a column of dates; None if they are all the same.

    Args:
        name: Name of the column.
        cells: Its cells in the training part.
    """
    elapsed = fit_number(name, cells)
    if elapsed is None:
        return None
    seconds = cells.values[~np.isnan(cells.values)]
    differs = [period for period in PERIODS if len(seconds) and np.ptp(_place(seconds, period)) > 0.02]
    covered = [period for period in differs if np.ptp(seconds) > 0.5 * PERIODS[period]]
    return DateEncoder(name, elapsed, tuple(covered))
