"""Bars with their values, and the spread of several values of a name."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from fnloop.plots.drawing import COLOURS, format_axes, needs_log_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = Mapping[str, Sequence[float]]


def bars(axes: "Axes", values: Values, title: str, form: Callable[[float], str]) -> None:
    """The means as bars from zero, with a tick for each value; shares of 1 have an axis up to 1.

    Values that only a log scale shows, which has no zero, are points.
    """
    means = [fmean(several) for several in values.values()]
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(values))]
    every = [value for several in values.values() for value in several]
    if needs_log_scale(every):
        axes.set_yscale("log")
        axes.scatter(range(len(values)), means, color=colours, s=60)
        axes.set_ylim(min(every) / 3, max(every) * 5)
    else:
        axes.bar(range(len(values)), means, color=colours, alpha=0.8)
        axes.axhline(0, color="#333333", linewidth=1)
        axes.margins(y=0.2)
        if all(0 <= value <= 1 for value in every):
            axes.set_ylim(0, 1.2)  # there is space for the values above
            axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    for place, several in enumerate(values.values()):
        _say_value(axes, place, several, form)
    format_axes(axes, title, title.lower(), over="")
    slanted: dict[str, Any] = {"rotation": 20, "ha": "right"} if sum(map(len, values)) > 45 else {}
    axes.set_xticks(range(len(values)), list(values), **slanted)
    axes.grid(visible=False, axis="x")


def _say_value(axes: "Axes", place: int, several: Sequence[float], form: Callable[[float], str]) -> None:
    """The mean of the values at the end of their bar, with their standard deviation, and a tick for each of them."""
    mean = fmean(several)
    text = form(mean)
    if len(several) > 1:
        axes.plot([place] * 2, [min(several), max(several)], color="#000000", linewidth=1)
        axes.plot([place] * len(several), several, "_", color="#000000", markersize=10)
    if max(several) > min(several):
        text = f"{text}\n±{form(stdev(several))}"
    above = mean >= 0
    end, side = (max(several), 1) if above else (min(several), -1)
    vertical: Any = "bottom" if above else "top"
    at = (0, 4 * side)
    axes.annotate(text, (place, end), at, textcoords="offset points", fontsize="small", ha="center", va=vertical)
