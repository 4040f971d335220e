"""Matplotlib figures that show themselves in a notebook, and plain numbers at their axes."""

import io
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, Locator, LogLocator, MaxNLocator


class NotebookFigure(Figure):
    """A figure that is made without pyplot, so that nothing global holds it, and which a notebook shows nevertheless."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()


class PlainFormatter(Formatter):
    """Numbers as a person writes them: no offset, and no powers of ten where they need none.

    Each has the fewest digits that tell it from its neighbours, on a linear axis as many decimals as they.
    """

    def __call__(self, x: float, pos: Any = None) -> str:
        return self.format_ticks([x])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        ticks = [float(value) for value in values]
        ordered = sorted(set(ticks))
        near = 0.01 * min((b - a for a, b in pairwise(ordered)), default=0.0)

        def told_apart(texts: Sequence[str]) -> bool:
            return all(abs(float(text) - tick) <= max(near, 1e-9 * abs(tick)) for text, tick in zip(texts, ticks, strict=True))

        return next(filter(told_apart, self._candidates(ticks)), [repr(tick) for tick in ticks])

    def _candidates(self, ticks: Sequence[float]) -> Iterator[list[str]]:
        linear = getattr(self.axis, "get_scale", lambda: "linear")() == "linear"
        if linear and max(map(abs, ticks), default=0.0) < 1e7:
            yield from ([f"{tick:.{decimals}f}" for tick in ticks] for decimals in range(7))
        yield from ([plain(tick, digits) for tick in ticks] for digits in range(1, 17))


def plain(value: float, digits: int) -> str:
    """A number with so many significant digits.

    Examples:
        >>> plain(1234.5, 2), plain(0.00025, 2), plain(2e-6, 1)
        ('1200', '0.00025', '2e-6')
    """
    if value == 0 or 1e-4 <= abs(value) < 1e7:
        return np.format_float_positional(value, digits, unique=False, fractional=False, trim="-")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


class PlainLogLocator(Locator):
    """Ticks of a log axis that can be read however short it is: powers of ten, then 1, 2, 5, then round numbers."""

    def __call__(self) -> Any:
        return self.tick_values(*self.axis.get_view_interval())  # type: ignore[union-attr]

    def tick_values(self, vmin: float, vmax: float) -> Any:
        low, high = sorted((vmin, vmax))
        if not (0 < low < high and math.isfinite(high)):
            return np.array([])
        found: Any = np.array([])
        for locator in (LogLocator(subs=(1.0,), numticks=7), LogLocator(subs=(1.0, 2.0, 5.0), numticks=7), MaxNLocator(5)):
            ticks = np.asarray(locator.tick_values(low, high))
            found = ticks[(ticks >= low) & (ticks <= high)]
            if len(found) >= 3:
                break
        return found
