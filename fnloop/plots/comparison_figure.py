"""The figure that compares fits with different schedulers, or with any other difference, over seeds."""

import math
from collections.abc import Sequence
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from fnloop.core.records import evolve
from fnloop.metrics import mode_of
from fnloop.plots.bars import FEW, draw_bars, draw_points
from fnloop.plots.drawing import (
    draw_line,
    draw_text_literally,
    format_axes,
    limit_r2_axis,
    line_style,
    metric_label,
    needs_log_scale,
    new_figure,
    set_log_scale,
    short_names,
    show_message,
)
from fnloop.plots.run_comparison import Fits, RunGroup, Tests, group_runs, rank, reported_metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fnloop.plots.figure import NotebookFigure

LONGEST = 40  # characters of a name
LEGEND = 36  # names in the legend
LINE = 0.23  # inches of a line of the legend


def comparison(fits: Fits, tests: Tests | None = None) -> "NotebookFigure":
    """Compare fits that differ in their scheduler or anything else, in six panels; the rates are those that the runs used.

    The title names the best by validation and, as a report only, the best by test. Of several fits a line is the mean, with a
    band of one standard deviation, which ends at the smallest and the largest value; a bar is the mean, with a tick for each.
    Of more than 8 names the lines have no bands, which would hide one another; long names are cut.

    Args:
        fits: Names to a `Fit`, or to a list of fits that differ in their seeds.
        tests: The same names to the result of `fit.evaluate(test)`, or to a list with one for each fit; None (the default)
            for no test.

    Returns:
        The figure: loss, validation loss, validation metric; test metric, or without a test the best value of each fit; final
        learning rate, learning rates.

    Raises:
        ValueError: If there are no fits, or names, numbers or metrics do not match.

    Examples:
        >>> comparison({"constant": {"loss": [0.9, 0.8], "lr": [0.1, 0.1]}}).get_suptitle()
        'Best by training, without validation data: constant (loss 0.8)'

    See Also:
        `comparison_rows`, the same as rows
    """
    from fnloop.plots.figure import plain_number

    groups = _with_short_names(group_runs(fits, tests))
    metric = next((name for name in groups[0].runs[0].metrics if name != "loss"), "accuracy")
    figure = new_figure(15, 8)
    axes = figure.subplots(2, 3)
    _draw_curves(axes[0, 0], groups, "loss", "Training loss", log=True)
    _draw_curves(axes[0, 1], groups, "val_loss", "Validation loss", log=True)
    _draw_curves(axes[0, 2], groups, f"val_{metric}", f"Validation {metric_label(metric)}")
    if tests is None:
        best_values = {group.name: group.best_values for group in groups}
        draw_points(axes[1, 0], best_values, f"Best {metric_label(groups[0].monitor)} of each run")
    else:
        reported = reported_metric(groups[0].tests)
        values = {group.name: group.test_values(reported) for group in groups}
        draw_bars(axes[1, 0], values, f"Test {metric_label(reported)}", _format_metric, shares=True)
    final_rates = {group.name: group.final_rates for group in groups}
    draw_bars(axes[1, 1], final_rates, "Final learning rate", lambda rate: plain_number(rate, 2))
    _draw_curves(axes[1, 2], groups, "lr", "Learning rate")
    _add_legend(figure, [group.name for group in groups])
    figure.suptitle(_title(groups))
    draw_text_literally(figure)
    return figure


def _with_short_names(groups: Sequence[RunGroup]) -> list[RunGroup]:
    names = short_names([group.name for group in groups], LONGEST)
    return [evolve(group, name=name) for group, name in zip(groups, names, strict=True)]


def _add_legend(figure: "NotebookFigure", names: Sequence[str]) -> None:
    """Add the legend of the lines below the panels, in a figure that grows by its lines after the second."""
    from matplotlib.lines import Line2D

    labels = list(names[:LEGEND])
    handles = [Line2D([], [], **line_style(i)) for i in range(len(labels))]
    if len(names) > LEGEND:
        handles.append(Line2D([], [], linestyle="none"))
        labels.append(f"and {len(names) - LEGEND} more")
    columns = max(1, min(len(labels), 120 // (8 + max(map(len, labels)))))
    rows = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + LINE * max(0, rows - 2))
    empty = [" "] * len(labels)  # matplotlib leaves out those that start with "_"
    legend = figure.legend(handles, empty, loc="outside lower center", ncols=columns, frameon=False, handlelength=4)
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)


def _title(groups: Sequence[RunGroup]) -> str:
    """The best by validation, which is the choice, and the best by test, which is a report."""
    ranked = rank(groups)
    best = ranked[0]
    data = "validation" if best.monitor.startswith("val_") else "training, without validation data"
    title = f"Best by {data}: {best.name} ({best.monitor} {fmean(best.best_values):.4g})"
    if not best.tests:
        return title
    metric = reported_metric(groups[0].tests)
    sign, extreme = (1, "Highest") if mode_of(metric) == "max" else (-1, "Lowest")
    best_in_test = max(ranked, key=lambda group: sign * fmean(group.test_values(metric)))
    value = fmean(best_in_test.test_values(metric))
    return f"{title}.  {extreme} test {metric_label(metric)} (not used to choose): {best_in_test.name} ({value:.4g})"


def _draw_curves(axes: "Axes", groups: Sequence[RunGroup], metric: str, title: str, log: bool = False) -> None:
    """Draw a metric epoch by epoch, one line for each group."""
    runs = [run for group in groups for run in group.runs]
    if any(metric not in run.history for run in runs):
        show_message(axes, title, "no validation data")
        return
    for i, group in enumerate(groups):
        epochs = range(min(run.first_epoch for run in group.runs), max(run.epochs[-1] for run in group.runs) + 1)
        values_by_epoch = [
            [run.history[metric][run.epochs.index(epoch)] for run in group.runs if epoch in run.epochs] for epoch in epochs
        ]
        means = [fmean(values) if values else math.nan for values in values_by_epoch]
        style = line_style(i)
        steps = {"drawstyle": "steps-mid"} if metric == "lr" else {}
        draw_line(axes, epochs, means, label=group.name, **style, **steps)
        if len(group.runs) > 1 and len(groups) <= FEW:
            low, high = zip(*map(_band, values_by_epoch), strict=True)
            axes.fill_between(epochs, low, high, color=style["color"], alpha=0.15, linewidth=0)
    limit_r2_axis(axes, metric, [value for run in runs for value in run.history[metric]])
    if metric == "lr":
        log = needs_log_scale([run.history["lr"][0] for run in runs])
    if log:
        set_log_scale(axes, *(run.history[metric] for run in runs))
    format_axes(axes, title, metric_label(metric.removeprefix("val_")))


def _band(values: Sequence[float]) -> tuple[float, float]:
    """The mean plus and minus a standard deviation, within the values; NaN without values."""
    if not values or not all(map(math.isfinite, values)):
        return math.nan, math.nan
    mean, spread = fmean(values), pstdev(values)
    return max(min(values), mean - spread), min(max(values), mean + spread)


def _format_metric(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.3g}"
