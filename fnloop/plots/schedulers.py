"""Fits that differ in their scheduler, or in anything else, side by side."""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from fnloop.metrics import mode_of
from fnloop.plots.comparison import Fits, Group, Tests, comparison, groups_of, highest, ranked, reported
from fnloop.plots.drawing import COLOURS, dress, label_of, line, log_scale, new, say, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fnloop.plots.figure import Picture


def schedulers(fits: Fits, tests: Tests | None = None) -> "Picture":
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

    groups = groups_of(fits, tests)
    figure = new(15, 8)
    axes = figure.subplots(2, 3)
    _curves(axes[0, 0], groups, "loss", "Training loss", log=True)
    _curves(axes[0, 1], groups, "val_loss", "Validation loss", log=True)
    metric = _metric(groups)
    _curves(axes[0, 2], groups, f"val_{metric}", f"Validation {label_of(metric)}")
    if tests is None:
        _say_no_test(axes[1, 0], metric)
    else:
        tested = reported(groups[0].tests)
        values = {group.name: [test[tested] for test in group.tests] for group in groups}
        _bars(axes[1, 0], values, f"Test {label_of(tested)}", "{:.3f}".format, within=(0, 1) if _is_share(values) else None)
    _bars(axes[1, 1], {group.name: group.rates for group in groups}, "Final learning rate", lambda rate: plain(rate, 2))
    _curves(axes[1, 2], groups, "lr", "Learning rate, as used")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(6, len(labels)), frameon=False, handlelength=4)
    figure.suptitle(_title(groups, fits, tests))
    return figure


def _metric(groups: Sequence[Group]) -> str:
    return next((name for name in groups[0].stories[0].metrics if name != "loss"), "accuracy")


def _say_no_test(axes: "Axes", metric: str) -> None:
    say(axes, f"Test {label_of(metric)}", "no test data")


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
    return f"{title}.  {extreme} test {label_of(metric)}, a report and no choice: {name} ({value:.4g})"


def _curves(axes: "Axes", groups: Sequence[Group], metric: str, title: str, log: bool = False) -> None:
    if any(metric not in story.history for group in groups for story in group.stories):
        say(axes, title, "no validation data")
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
    if log:
        log_scale(axes, *(story.history[metric] for group in groups for story in group.stories))
    dress(axes, title, label_of(metric.removeprefix("val_")))


def _is_share(values: Mapping[str, Sequence[float]]) -> bool:
    return all(0 <= value <= 1 for several in values.values() for value in several)


def _bars(
    axes: "Axes",
    values: Mapping[str, Sequence[float]],
    title: str,
    form: Callable[[float], str],
    within: tuple[float, float] | None = None,
) -> None:
    """Bars from zero with their values; where they differ by powers of ten, and zero is nowhere, points."""
    places, means = range(len(values)), [fmean(several) for several in values.values()]
    colours = [COLOURS[i % len(COLOURS)] for i in places]
    every = [value for several in values.values() for value in several]
    if min(every) > 0 and max(every) > 100 * min(every):
        axes.set_yscale("log")
        axes.scatter(places, means, color=colours, s=60)
        axes.set_ylim(min(every) / 3, max(every) * 5)
    else:
        axes.bar(places, means, color=colours, alpha=0.8)
        axes.axhline(0, color="#333333", linewidth=1)
        axes.margins(y=0.15)
        if within is not None:
            axes.set_ylim(within[0], within[1] * 1.2)  # there is space for the values above
            axes.set_yticks([within[0] + share * (within[1] - within[0]) for share in (0, 0.25, 0.5, 0.75, 1)])
    for place, several, mean in zip(places, values.values(), means, strict=True):
        text = form(mean)
        if len(several) > 1:
            axes.plot([place] * 2, [min(several), max(several)], color="#000000", linewidth=1)
            axes.plot([place] * len(several), several, "_", color="#000000", markersize=10)
            if max(several) > min(several):
                text = f"{text}\n±{form(stdev(several))}"
        top = max(several) if mean >= 0 else min(0.0, *several)
        axes.annotate(text, (place, top), (0, 4), textcoords="offset points", ha="center", va="bottom", fontsize="small")
    dress(axes, title, title.lower(), over="")
    axes.set_xticks(places, list(values), rotation=0 if sum(map(len, values)) < 45 else 20)
    axes.grid(visible=False, axis="x")
