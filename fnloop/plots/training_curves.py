"""One run: its metrics, its learning rate, the time it took, and what the gap to validation says."""

import math
from typing import TYPE_CHECKING, Any

from fnloop.plots.drawing import (
    COLOURS,
    DASHES,
    GREY,
    format_axes,
    limit_r2_axis,
    line,
    mark_non_finite,
    metric_label,
    new_figure,
    set_log_scale,
    show_message,
)
from fnloop.plots.overfitting import verdict
from fnloop.plots.run_data import RunData, read_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fnloop.plots.figure import NotebookFigure

TRAIN: dict[str, Any] = {"color": COLOURS[0], "linestyle": DASHES[0], "linewidth": 1.8}
VALIDATION: dict[str, Any] = {"color": COLOURS[1], "linestyle": DASHES[1], "linewidth": 1.8}


def training(run: Any) -> "NotebookFigure":
    """A run in panels: the loss and every other metric, then seconds per epoch, the gap to validation and the learning rate.

    The best epoch is marked, and the epoch that the run stopped in, if it did by itself. The title of the gap names the epoch
    of the last value, with the `verdict` on it. A loss of classes is judged by fixed bounds. Another loss has units: it is
    compared with the loss of a constant prediction, which a `Fit` knows and a history does not; then there is no verdict.

    Args:
        run: A `Fit`, a `Run`, or a history: metric names to values, one an epoch. `loss` must be there; validation metrics,
            `lr` and `seconds` may be.

    Raises:
        TypeError: If it is none of these.
        ValueError: If there is no loss, or the lists are not of one length.
    """
    told = read_run(run)
    count = len(told.metrics)
    columns = 2 if count == 4 else min(count, 3)
    rows = math.ceil(count / columns)
    figure = new_figure(12, 3.6 * rows + 3.2)
    halves: Any = figure.subfigures(2, 1, height_ratios=[3.6 * rows, 3.2])
    above, below = halves
    panels = above.subplots(rows, columns, squeeze=False).ravel()
    for metric, axes in zip(told.metrics, panels, strict=False):
        _metric(axes, told, metric)
    for axes in panels[count:]:
        axes.remove()
    panels[0].legend(frameon=False, fontsize="small")
    seconds, gap, rate = below.subplots(1, 3)
    _seconds(seconds, told)
    _gap(gap, told)
    _rate(rate, told)
    for axes in figure.get_axes():
        axes.set_xlim(told.first - 0.5, told.epochs[-1] + 0.5)
    return figure


def _metric(axes: "Axes", told: RunData, metric: str) -> None:
    """A metric in training and, if there is one, in validation."""
    history = told.history
    drawn = [(name, how) for name, how in ((metric, TRAIN), (f"val_{metric}", VALIDATION)) if name in history]
    for name, how in drawn:
        line(axes, told.epochs, history[name], label="validation" if name.startswith("val_") else "train", **how)
    if metric == "loss":
        set_log_scale(axes, *(history[name] for name, _ in drawn))
    if f"val_{metric}" not in history:
        axes.text(0.5, 0.5, "no validation data", ha="center", transform=axes.transAxes, color=GREY)
    mark_non_finite(axes, told.epochs, *(history[name] for name, _ in drawn))
    limit_r2_axis(axes, metric, [value for name, _ in drawn for value in history[name]])
    _mark(axes, told)
    if told.best is not None and told.monitor in (name for name, _ in drawn):
        axes.plot([told.best], [told.value], "o", color="#000000", markersize=7, fillstyle="none", label="_best")
    label = metric_label(metric)
    format_axes(axes, label[0].upper() + label[1:], label)


def _mark(axes: "Axes", told: RunData) -> None:
    """Lines at the best epoch, and where the run stopped."""
    if told.best is not None:
        label = f"best epoch: {told.best}, {told.monitor} {told.value:.4g}"
        axes.axvline(told.best, color="#000000", linestyle=":", linewidth=1.2, label=label, zorder=1)
    if told.ended is not None:
        label = f"stopped in epoch {told.epochs[-1]}: {told.ended}"
        axes.axvline(told.epochs[-1], color=GREY, linestyle="-.", linewidth=1.2, label=label, zorder=1)


def _seconds(axes: "Axes", told: RunData) -> None:
    seconds = told.history.get("seconds")
    if not seconds:
        show_message(axes, "Seconds per epoch", "no timing data")
        return
    mean, edges = sum(seconds) / len(seconds), [epoch - 0.5 for epoch in (*told.epochs, told.epochs[-1] + 1)]
    axes.stairs(seconds, edges, fill=True, color=COLOURS[2], alpha=0.6)
    axes.axhline(mean, color="#333333", linewidth=1, linestyle="--", label=f"mean {mean:.3g} s")
    format_axes(axes, f"Seconds per epoch, {sum(seconds):.3g} s in all", "seconds")
    axes.legend(frameon=False, fontsize="small")


def _gap(axes: "Axes", told: RunData) -> None:
    if "val_loss" not in told.history:
        show_message(axes, "Gap: val_loss - loss", "no validation data")
        return
    gap = [val - own for val, own in zip(told.history["val_loss"], told.history["loss"], strict=True)]
    line(axes, told.epochs, gap, color=COLOURS[3], linewidth=1.8)
    scale = told.scale if math.isfinite(told.scale) else 1.0 if len(told.metrics) == 1 else None
    if scale is not None:
        axes.axhspan(-0.05 * scale, 0.05 * scale, color="#999999", alpha=0.15, linewidth=0)
    axes.axhline(0, color="#333333", linewidth=1)
    _leave_out_peaks(axes, gap, told)
    format_axes(axes, f"Gap in epoch {told.epochs[-1]}: {_words(gap[-1], told)}", "val_loss - loss")


def _leave_out_peaks(axes: "Axes", gap: list[float], told: RunData) -> None:
    """The gap of the first epochs may press all else to a line: the second half and the bounds of the verdict are seen."""
    late = [abs(value) for value in gap[len(gap) // 2 :] if math.isfinite(value)]
    limit = 3 * max([*late, 0.1 * told.scale] if math.isfinite(told.scale) else late, default=0.0)
    low, high = axes.get_ylim()
    if 0 < limit < max(-low, high):
        axes.set_ylim(max(low, -limit), min(high, limit))


def _words(gap: float, told: RunData) -> str:
    """The verdict, as far as there is one."""
    if not math.isfinite(gap):
        return verdict(gap)
    if told.scale == 1.0:
        return f"{verdict(gap)} ({gap:+.3f})"
    if math.isfinite(told.scale):
        return f"{verdict(gap, told.scale)}\n({gap:+.4g}, {gap / told.scale:+.1%} of a constant prediction's loss)"
    if len(told.metrics) == 1:
        return f"{gap:+.4g}\nif the loss is a cross-entropy: {verdict(gap)}"
    return f"{gap:+.4g}\nno verdict from a history alone:\na Fit knows what its loss is measured by"


def _rate(axes: "Axes", told: RunData) -> None:
    rates = told.history.get("lr")
    if not rates:
        show_message(axes, "Learning rate", "no learning rates")
        return
    line(axes, told.epochs, rates, color=COLOURS[0], linewidth=1.8, drawstyle="steps-mid")
    if min(rates) > 0 and max(rates) > 30 * min(rates):
        axes.set_yscale("log")
    format_axes(axes, "Learning rate, as used", "learning rate")
