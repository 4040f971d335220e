"""Fits that differ in their scheduler, or in anything else, side by side."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from fnloop.metrics import mode_of
from fnloop.plots.bars import bars
from fnloop.plots.drawing import (
    format_axes,
    limit_r2_axis,
    line,
    metric_label,
    needs_log_scale,
    new_figure,
    set_log_scale,
    show_message,
    style,
)
from fnloop.plots.run_comparison import Fits, Group, Tests, comparison, group_runs, highest, ranked, reported

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fnloop.plots.figure import NotebookFigure


def schedulers(fits: Fits, tests: Tests | None = None) -> "NotebookFigure":
    """Fits that differ in their scheduler, in six panels; the learning rates are those that the runs used.

    The title names the best by validation, and beside it, as a report, the one that the test likes best. Of several fits a
    line is the mean, with a band from the smallest to the largest; a bar is the mean, with a point for each fit.

    Args:
        fits: Names to a `Fit`, or to several that differ in their seeds.
        tests: The same names to what `fit.evaluate(test)` gives, one for each fit.

    Raises:
        ValueError: If there are no fits, or names and numbers do not fit together.
    """
    from fnloop.plots.figure import plain

    groups = group_runs(fits, tests)
    figure = new_figure(15, 8)
    axes = figure.subplots(2, 3)
    _curves(axes[0, 0], groups, "loss", "Training loss", log=True)
    _curves(axes[0, 1], groups, "val_loss", "Validation loss", log=True)
    metric = _metric(groups)
    _curves(axes[0, 2], groups, f"val_{metric}", f"Validation {metric_label(metric)}")
    if tests is None:
        _say_no_test(axes[1, 0], metric)
    else:
        tested = reported(groups[0].tests)
        values = {group.name: [test[tested] for test in group.tests] for group in groups}
        bars(axes[1, 0], values, f"Test {metric_label(tested)}", _short_number)
    bars(axes[1, 1], {group.name: group.rates for group in groups}, "Final learning rate", lambda rate: plain(rate, 2))
    _curves(axes[1, 2], groups, "lr", "Learning rate, as used")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    columns = max(1, min(len(labels), 120 // (8 + max(map(len, labels)))))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, handlelength=4)
    figure.suptitle(_title(groups, fits, tests))
    return figure


def _metric(groups: Sequence[Group]) -> str:
    return next((name for name in groups[0].stories[0].metrics if name != "loss"), "accuracy")


def _say_no_test(axes: "Axes", metric: str) -> None:
    show_message(axes, f"Test {metric_label(metric)}", "no test data")


def _title(groups: Sequence[Group], fits: Fits, tests: Tests | None) -> str:
    """The choice, and the report."""
    best, monitor = ranked(groups)[0], groups[0].stories[0].monitor
    by = "validation" if monitor.startswith("val_") else "training, without validation data"
    title = f"Best by {by}: {best.name} ({monitor} {fmean(best.values):.4g})"
    if tests is None:
        return title
    metric, rows = reported(groups[0].tests), comparison(fits, tests)
    name = highest(rows, metric)
    value = next(row[f"test {metric}"] for row in rows if row["scheduler"] == name)
    extreme = "Highest" if mode_of(metric) == "max" else "Lowest"
    return f"{title}.  {extreme} test {metric_label(metric)}, a report and no choice: {name} ({value:.4g})"


def _curves(axes: "Axes", groups: Sequence[Group], metric: str, title: str, log: bool = False) -> None:
    if any(metric not in story.history for group in groups for story in group.stories):
        show_message(axes, title, "no validation data")
        return
    for i, group in enumerate(groups):
        epochs = range(min(s.first for s in group.stories), max(s.epochs[-1] for s in group.stories) + 1)
        each = [[s.history[metric][s.epochs.index(e)] for s in group.stories if e in s.epochs] for e in epochs]
        how = style(i)
        steps = {"drawstyle": "steps-mid"} if metric == "lr" else {}
        line(axes, epochs, [fmean(values) if values else math.nan for values in each], label=group.name, **how, **steps)
        if len(group.stories) > 1:
            low, high = ([pick(values, default=math.nan) for values in each] for pick in (min, max))
            axes.fill_between(epochs, low, high, color=how["color"], alpha=0.15, linewidth=0)
    limit_r2_axis(axes, metric, [value for group in groups for story in group.stories for value in story.history[metric]])
    if metric == "lr":
        log = needs_log_scale([story.history["lr"][0] for group in groups for story in group.stories])
    if log:
        set_log_scale(axes, *(story.history[metric] for group in groups for story in group.stories))
    format_axes(axes, title, metric_label(metric.removeprefix("val_")))


def _short_number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.3g}"
