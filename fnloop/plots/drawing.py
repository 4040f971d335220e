"""What the pictures have in common: colours and line styles, panels, lines with gaps, and panels without data."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fnloop.plots.figure import NotebookFigure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito: told apart by all
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1.5, 1, 1.5, 1, 1.5)))
GREY = "#666666"
LOWEST_R2 = -1.0  # below it a model is worse than useless, and how much so says nothing
NAMES = {"r2": "R²", "mae": "MAE", "lr": "learning rate"}


def new_figure(width: float, height: float) -> "NotebookFigure":
    """A figure of so many inches."""
    from fnloop.plots.figure import NotebookFigure

    return NotebookFigure(figsize=(width, height), layout="constrained")


def style(i: int) -> dict[str, Any]:
    """The i-th of several lines: its own colour and dashes; later ones are thinner, so that those under them are seen."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": DASHES[i % len(DASHES)],
        "linewidth": max(1.4, 2.6 - 0.4 * i),
    }


def metric_label(metric: str) -> str:
    """A metric as a person calls it."""
    return NAMES.get(metric, metric)


def format_axes(axes: "Axes", title: str, label: str, over: str = "epoch") -> None:
    """Titles, a grid, and plain numbers at both axes."""
    from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

    from fnloop.plots.figure import PlainFormatter, PlainLogLocator

    axes.set_title(title, fontsize="medium")
    axes.set_xlabel(over)
    axes.set_ylabel(label)
    if over == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for axis, scale in ((axes.xaxis, axes.get_xscale()), (axes.yaxis, axes.get_yscale())):
        axis.set_major_formatter(PlainFormatter())
        axis.set_minor_formatter(NullFormatter())
        if scale == "log":
            axis.set_major_locator(PlainLogLocator())
            axis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.25)


def show_message(axes: "Axes", title: str, text: str) -> None:
    """A panel without data says so."""
    axes.set_title(title, fontsize="medium")
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color=GREY)


def line(axes: "Axes", epochs: Sequence[int], values: Sequence[float], **style: Any) -> None:
    """A line through the values; one without neighbours, between values that are not finite, is a point."""
    axes.plot(epochs, values, **style)
    known = [False, *map(math.isfinite, values), False]
    alone = [i for i in range(len(values)) if known[i + 1] and not (known[i] or known[i + 2])]
    if alone:
        x, y = [epochs[i] for i in alone], [values[i] for i in alone]
        mark = "o" if style.get("linestyle", "-") == "-" else "s"
        axes.plot(x, y, mark, color=style.get("color"), markersize=4, label="_alone")


def mark_non_finite(axes: "Axes", epochs: Sequence[int], *series: Sequence[float]) -> None:
    """Crosses at the lower edge where a value is not finite."""
    bad = [epoch for epoch, row in zip(epochs, zip(*series, strict=True), strict=True) if not all(map(math.isfinite, row))]
    if bad:
        edge = axes.get_xaxis_transform()
        axes.plot(bad, [0.02] * len(bad), "x", color="#000000", markersize=6, transform=edge, label="not finite", zorder=3)


def set_log_scale(axes: "Axes", *series: Sequence[float]) -> None:
    """A log scale, where any value has a place on it."""
    if any(0 < value < math.inf for values in series for value in values):
        axes.set_yscale("log", nonpositive="mask")


def limit_r2_axis(axes: "Axes", metric: str, values: Sequence[float]) -> None:
    """R² far below 0, as in a first epoch, would press all else to a line: the axis ends at -1, and says how deep it went."""
    deep = [value for value in values if value < LOWEST_R2]
    if metric.removeprefix("val_") == "r2" and deep and len(deep) < len(values):
        axes.set_ylim(LOWEST_R2, max(0.2, *(value for value in values if value <= 1)) + 0.05)
        axes.text(0.02, 0.02, f"lowest {min(deep):.3g}", transform=axes.transAxes, color=GREY, fontsize="small")


def needs_log_scale(values: Sequence[float]) -> bool:
    """Whether positive values differ so much that only a log scale shows all of them."""
    return min(values) > 0 and max(values) > 100 * min(values)
