"""Matplotlib figures that display themselves in a notebook, and axes with plain numbers."""

import io
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, Locator, LogLocator, MaxNLocator


class NotebookFigure(Figure):
    """A figure that a notebook displays, made without pyplot, which would keep a global reference to it."""

    def _repr_png_(self) -> bytes:
        image = io.BytesIO()
        self.savefig(image, format="png")
        return image.getvalue()


class PlainFormatter(Formatter):
    """Tick labels as plain numbers: no offset, and no powers of ten unless a number needs one.

    Each label has as few digits as distinguish it from its neighbors; the labels of a linear axis have equally many decimals.
    """

    def __call__(self, x: float, pos: Any = None) -> str:
        """Return the label of a single tick."""
        return self.format_ticks([x])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Return the labels of all ticks of an axis.

        Args:
            values: The positions of the ticks.

        Examples:
            >>> PlainFormatter().format_ticks([0.0, 0.25, 0.5])
            ['0.00', '0.25', '0.50']
        """
        ticks = [float(value) for value in values]
        ordered = sorted(set(ticks))
        tolerance = 0.01 * min((b - a for a, b in pairwise(ordered)), default=0.0)

        def are_accurate(labels: Sequence[str]) -> bool:
            pairs = zip(labels, ticks, strict=True)
            return all(abs(float(label) - tick) <= max(tolerance, 1e-9 * abs(tick)) for label, tick in pairs)

        return next(filter(are_accurate, self._candidates(ticks)), [repr(tick) for tick in ticks])

    def _candidates(self, ticks: Sequence[float]) -> Iterator[list[str]]:
        is_linear = getattr(self.axis, "get_scale", lambda: "linear")() == "linear"
        if is_linear and max(map(abs, ticks), default=0.0) < 1e7:
            yield from ([f"{tick:.{decimals}f}" for tick in ticks] for decimals in range(7))
        yield from ([plain_number(tick, digits) for tick in ticks] for digits in range(1, 17))


def plain_number(value: float, digits: int) -> str:
    """Return a number with a number of significant digits, without trailing zeros.

    Args:
        value: The number.
        digits: The number of significant digits, at least 1.

    Examples:
        >>> plain_number(1234.5, 2), plain_number(0.00025, 2), plain_number(2e-6, 1)
        ('1200', '0.00025', '2e-6')
    """
    if value == 0 or 1e-4 <= abs(value) < 1e7:
        return np.format_float_positional(value, digits, unique=False, fractional=False, trim="-")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


class PlainLogLocator(Locator):
    """Ticks of a log axis of any length: powers of ten; if these are too few, 1, 2 and 5; if still too few, round numbers."""

    def __call__(self) -> Any:
        """Return the ticks in the visible interval."""
        return self.tick_values(*self.axis.get_view_interval())  # type: ignore[union-attr]

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """Return the ticks in an interval, in ascending order.

        Args:
            vmin: One end of the interval.
            vmax: The other end.
        """
        low, high = sorted((vmin, vmax))
        if not (0 < low < high and math.isfinite(high)):
            return np.array([])
        inside: Any = np.array([])
        for locator in (LogLocator(subs=(1.0,), numticks=7), LogLocator(subs=(1.0, 2.0, 5.0), numticks=7), MaxNLocator(5)):
            ticks = np.asarray(locator.tick_values(low, high))
            inside = ticks[(ticks >= low) & (ticks <= high)]
            if len(inside) >= 3:
                break
        return inside
