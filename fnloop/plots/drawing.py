"""Elements that all figures share: colors and line styles, axes, lines with gaps, panels without data."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fnloop.core.formatting import cut_end, cut_middle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fnloop.plots.figure import NotebookFigure

COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)  # Okabe & Ito: safe for color blindness
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1.5, 1, 1.5, 1, 1.5)))
GREY = "#666666"
LOWEST_R2 = -1.0  # the lower end of an axis of R²: how far below a useless model is does not matter
SMALLEST = 1e-300  # limits of axes may be rounded to 0 below it, which matplotlib cannot draw
LABELS = {"r2": "R²", "mae": "MAE", "rmse": "RMSE", "lr": "learning rate"}


def new_figure(width: float, height: float) -> "NotebookFigure":
    """Return an empty figure.

    Args:
        width: Width in inches.
        height: Height in inches.
    """
    from fnloop.plots.figure import NotebookFigure

    return NotebookFigure(figsize=(width, height), layout="constrained")


def draw_text_literally(figure: "Figure") -> None:
    """Draw all text of a figure unchanged: names come from users, and a `$` in them is not that of a formula.

    Args:
        figure: The figure, complete.
    """
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)


def short_names(names: Sequence[str], most: int) -> list[str]:
    """Return names that all differ, cut to a length: at the end, or else in the middle, or else with numbers.

    Args:
        names: The names, which differ.
        most: The number of characters, at least 10.

    Examples:
        >>> short_names(["a very long name", "b"], 10), short_names(["a very long name", "a very long one"], 10)
        (['a very ...', 'b'], ['a ve...ame', 'a ve...one'])
    """
    ways = [cut_end(name, most) for name in names], [cut_middle(name, most) for name in names]
    numbered = [f"{i + 1}: {cut_end(name, most - 2 - len(str(len(names))))}" for i, name in enumerate(names)]
    return next((way for way in ways if len(set(way)) == len(names)), numbered)


def line_style(i: int) -> dict[str, Any]:
    """Return the color, dashes and width of the i-th of several lines; later lines are thinner, so that all are visible.

    Args:
        i: Index of the line, from 0.
    """
    return {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": DASHES[i % len(DASHES)],
        "linewidth": max(1.4, 2.6 - 0.4 * i),
    }


def metric_label(metric: str) -> str:
    """Return the label of a metric: R² for `r2`, its own name for most.

    Args:
        metric: Name of the metric, without `val_`.

    Examples:
        >>> metric_label("r2"), metric_label("accuracy")
        ('R²', 'accuracy')
    """
    return LABELS.get(metric, metric)


def format_axes(axes: "Axes", title: str, y_label: str, x_label: str = "epoch") -> None:
    """Add a title, labels, a grid and plain numbers to axes.

    Args:
        axes: The axes.
        title: The title.
        y_label: Label of the y axis.
        x_label: Label of the x axis; for the default, `"epoch"`, its ticks are integers.
    """
    from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

    from fnloop.plots.figure import PlainFormatter, PlainLogLocator

    axes.set_title(title, fontsize="medium")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if x_label == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for axis, scale in ((axes.xaxis, axes.get_xscale()), (axes.yaxis, axes.get_yscale())):
        axis.set_major_formatter(PlainFormatter())
        axis.set_minor_formatter(NullFormatter())
        if scale == "log":
            axis.set_major_locator(PlainLogLocator())
            axis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.25)


def show_message(axes: "Axes", title: str, message: str) -> None:
    """Show a message in axes without data.

    Args:
        axes: The axes.
        title: The title.
        message: The message, such as "no validation data".
    """
    axes.set_title(title, fontsize="medium")
    axes.set_axis_off()
    axes.text(0.5, 0.5, message, ha="center", va="center", transform=axes.transAxes, color=GREY)


def draw_line(axes: "Axes", epochs: Sequence[int], values: Sequence[float], **style: Any) -> None:
    """Draw a line with gaps where values are not finite; a value without a finite neighbor is a point.

    Args:
        axes: The axes.
        epochs: The x values.
        values: The y values.
        **style: Arguments of `Axes.plot`.
    """
    axes.plot(epochs, values, **style)
    finite = [False, *map(math.isfinite, values), False]
    alone = [i for i in range(len(values)) if finite[i + 1] and not (finite[i] or finite[i + 2])]
    if alone:
        x, y = [epochs[i] for i in alone], [values[i] for i in alone]
        marker = "o" if style.get("linestyle", "-") == "-" else "s"
        axes.plot(x, y, marker, color=style.get("color"), markersize=4, label="_alone")


def mark_non_finite(axes: "Axes", epochs: Sequence[int], *series: Sequence[float]) -> None:
    """Draw crosses at the lower edge for epochs in which any value is not finite.

    Args:
        axes: The axes.
        epochs: The x values.
        *series: Sequences of y values.
    """
    bad = [epoch for epoch, row in zip(epochs, zip(*series, strict=True), strict=True) if not all(map(math.isfinite, row))]
    if bad:
        edge = axes.get_xaxis_transform()
        axes.plot(bad, [0.02] * len(bad), "x", color="#000000", markersize=6, transform=edge, label="not finite", zorder=3)


def set_log_scale(axes: "Axes", *series: Sequence[float]) -> None:
    """Set a log scale for y if any value is positive and finite, and none is too small for the margin of such an axis.

    Args:
        axes: The axes.
        *series: Sequences of y values.
    """
    positive = [value for values in series for value in values if 0 < value < math.inf]
    if positive and min(positive) > SMALLEST:
        axes.set_yscale("log", nonpositive="mask")


def limit_r2_axis(axes: "Axes", metric: str, values: Sequence[float]) -> None:
    """End the y axis of R² at -1, with a note of the lowest value: one far below 0, as in a first epoch, would hide the rest.

    Args:
        axes: The axes.
        metric: Name of the metric; for any but `r2` and `val_r2` nothing happens.
        values: All values that are drawn.
    """
    low = [value for value in values if value < LOWEST_R2]
    if metric.removeprefix("val_") == "r2" and low and len(low) < len(values):
        axes.set_ylim(LOWEST_R2, max(0.2, *(value for value in values if value <= 1)) + 0.05)
        axes.text(0.02, 0.02, f"lowest {min(low):.3g}", transform=axes.transAxes, color=GREY, fontsize="small")


def needs_log_scale(values: Sequence[float]) -> bool:
    """Return whether the values are positive and differ by a factor above 100.

    Args:
        values: At least one value.
    """
    return min(values) > 0 and max(values) > 100 * min(values)
