"""Bars with their values, and points with their mean: the spread of several values."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from fnloop.plots.drawing import COLOURS, format_axes, needs_log_scale, short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 8  # names that have room for lines of text next to one another
MOST = 36  # names that have room for text at all
LONGEST = 16  # characters of one of many names
LONGER = 24  # of one of few


def draw_bars(
    axes: "Axes",
    values: Mapping[str, Sequence[float]],
    title: str,
    format_value: Callable[[float], str],
    *,
    shares: bool = False,
) -> None:
    """Draw the mean of each name's values as a bar from zero, with a tick for each value.

    Values that need a log scale, which has no zero, are points.

    Args:
        axes: The axes.
        values: Names to their values, at least one each.
        title: The title; in lower case it is the label of the y axis.
        format_value: The function that formats a value.
        shares: Whether the axis ends at 1 if all values are in [0, 1], as for an accuracy; by default it ends at the largest.
    """
    means = [fmean(of_name) for of_name in values.values()]
    colors = [COLOURS[i % len(COLOURS)] for i in range(len(values))]
    all_values = [value for of_name in values.values() for value in of_name]
    if needs_log_scale(all_values):
        axes.set_yscale("log")
        axes.scatter(range(len(values)), means, color=colors, s=60)
        axes.set_xlim(-0.5, len(values) - 0.5)  # leaves space for the text at the outer points
        axes.set_ylim(min(all_values) / 3, max(all_values) * 5)
    else:
        axes.bar(range(len(values)), means, color=colors, alpha=0.8)
        axes.axhline(0, color="#333333", linewidth=1)
        axes.margins(y=0.2 if len(values) <= FEW else 0.3)
        if shares and all(0 <= value <= 1 for value in all_values):
            axes.set_ylim(0, 1.2)  # leaves space for the text above the bars
            axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    for position, of_name in enumerate(values.values()):
        _annotate(axes, position, of_name, format_value, len(values))
    format_axes(axes, title, title.lower(), x_label="")
    _name_positions(axes, values)


def draw_points(axes: "Axes", values: Mapping[str, Sequence[float]], title: str) -> None:
    """Draw a point for each finite value of each name, side by side, and their mean as a line.

    Args:
        axes: The axes.
        values: Names to their values, at least one each.
        title: The title.
    """
    finite = {name: [value for value in of_name if math.isfinite(value)] for name, of_name in values.items()}
    for i, known in enumerate(finite.values()):
        color = COLOURS[i % len(COLOURS)]
        offsets = [0.0] if len(known) < 2 else [0.5 * k / (len(known) - 1) - 0.25 for k in range(len(known))]
        axes.plot([i + offset for offset in offsets], known, "o", color=color, markersize=4, alpha=0.7)
        if known:
            axes.plot([i - 0.35, i + 0.35], [fmean(known)] * 2, "-", color="#000000", linewidth=1.5)
    drawn = [value for known in finite.values() for value in known]
    if drawn and needs_log_scale(drawn):
        axes.set_yscale("log")
    format_axes(axes, title, "", x_label="")
    axes.set_xlim(-0.6, len(values) - 0.4)
    _name_positions(axes, values)


def _name_positions(axes: "Axes", names: Iterable[str]) -> None:
    """Write the names below the positions 0, 1, 2, ...; obliquely if they are long, upwards and short if there are many."""
    labels = list(names)
    style: dict[str, Any] = {}
    if len(labels) > FEW:
        labels, style = short_names(labels, LONGEST), {"rotation": 90, "fontsize": "x-small"}
    elif sum(map(len, labels)) > 45:
        labels, style = short_names(labels, LONGER), {"rotation": 20, "ha": "right"}
    shown = range(0, len(labels), -(-len(labels) // MOST))
    axes.set_xticks(shown, [labels[i] for i in shown], **style)
    axes.grid(visible=False, axis="x")


def _annotate(axes: "Axes", position: int, values: Sequence[float], format_value: Callable[[float], str], bars: int) -> None:
    """Draw a tick for each value of a bar, and write the mean and the standard deviation at its end, as far as they fit."""
    mean = fmean(values)
    text = format_value(mean)
    if len(values) > 1:
        axes.plot([position] * 2, [min(values), max(values)], color="#000000", linewidth=1)
        axes.plot([position] * len(values), values, "_", color="#000000", markersize=10 if bars <= FEW else 4)
    if max(values) > min(values) and bars <= FEW:
        text = f"{text}\n±{format_value(stdev(values))}"
    is_above = mean >= 0
    end, sign = (max(values), 1) if is_above else (min(values), -1)
    style: dict[str, Any] = {"fontsize": "small"} if bars <= FEW else {"fontsize": "x-small", "rotation": 90}
    if bars <= MOST:
        style |= {"ha": "center", "va": "bottom" if is_above else "top"}
        axes.annotate(text, (position, end), (0, 4 * sign), textcoords="offset points", **style)
