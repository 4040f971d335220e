"""The figure of one run: metrics, learning rate, time, and the gap between validation and training loss."""

import math
from typing import TYPE_CHECKING, Any

from fnloop.plots.drawing import (
    COLOURS,
    DASHES,
    GREY,
    SMALLEST,
    draw_line,
    format_axes,
    limit_r2_axis,
    mark_non_finite,
    metric_label,
    new_figure,
    set_log_scale,
    show_message,
)
from fnloop.plots.overfitting import HIGH, MODERATE, UNDERFITTING, verdict
from fnloop.plots.run_data import History, RecordedRun, RunData, read_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fnloop.plots.figure import NotebookFigure

TRAIN: dict[str, Any] = {"color": COLOURS[0], "linestyle": DASHES[0], "linewidth": 1.8}
VALIDATION: dict[str, Any] = {"color": COLOURS[1], "linestyle": DASHES[1], "linewidth": 1.8}


def training(run: RecordedRun | History) -> "NotebookFigure":
    """Draw a run: one panel for the loss and each metric, then seconds per epoch, the gap to validation, the learning rate.

    Lines mark the best epoch and, if the run stopped before its last epoch, where it stopped. The title of the gap has the
    `verdict` on the gap in the last epoch. A classification loss is judged by fixed bounds, any other loss relative to the
    loss of a constant prediction. A `Fit` and a `Run` know that loss; a history does not, so that it gets no verdict.

    Args:
        run: A `Fit`, a `Run`, or a history: metric names to values, one for each epoch. A history must have `loss`, and may
            have validation metrics, `lr` and `seconds`.

    Returns:
        The figure.

    Raises:
        TypeError: If `run` is none of these.
        ValueError: If no epoch was finished, there is no loss, or the lists have different lengths.

    Examples:
        >>> figure = training({"loss": [0.9, 0.7, 0.6], "val_loss": [0.9, 0.8, 0.8]})
        >>> [axes.get_title() for axes in figure.get_axes()][:2]
        ['Loss', 'Seconds per epoch']

    See Also:
        `schedulers`, which compares several runs
    """
    data = read_run(run)
    count = len(data.metrics)
    columns = 2 if count == 4 else min(count, 3)
    rows = math.ceil(count / columns)
    figure = new_figure(12, 3.6 * rows + 3.2)
    halves: Any = figure.subfigures(2, 1, height_ratios=[3.6 * rows, 3.2])
    upper, lower = halves
    panels = upper.subplots(rows, columns, squeeze=False).ravel()
    for metric, axes in zip(data.metrics, panels, strict=False):
        _draw_metric(axes, data, metric)
    for axes in panels[count:]:
        axes.remove()
    panels[0].legend(frameon=False, fontsize="small")
    seconds, gap, rate = lower.subplots(1, 3)
    _draw_seconds(seconds, data)
    _draw_gap(gap, data)
    _draw_rate(rate, data)
    for axes in figure.get_axes():
        axes.set_xlim(data.first_epoch - 0.5, data.epochs[-1] + 0.5)
    return figure


def _draw_metric(axes: "Axes", data: RunData, metric: str) -> None:
    """Draw a metric on training data and, if there are any, on validation data."""
    styles = {name: style for name, style in ((metric, TRAIN), (f"val_{metric}", VALIDATION)) if name in data.history}
    series = [data.history[name] for name in styles]
    for name, style in styles.items():
        label = "validation" if name.startswith("val_") else "train"
        draw_line(axes, data.epochs, data.history[name], label=label, **style)
    if metric == "loss":
        set_log_scale(axes, *series)
    if f"val_{metric}" not in data.history:
        axes.text(0.5, 0.5, "no validation data", ha="center", transform=axes.transAxes, color=GREY)
    mark_non_finite(axes, data.epochs, *series)
    limit_r2_axis(axes, metric, [value for values in series for value in values])
    _mark_epochs(axes, data)
    if data.best_epoch is not None and data.monitor in styles:
        axes.plot([data.best_epoch], [data.best_value], "o", color="#000000", markersize=7, fillstyle="none", label="_best")
    label = metric_label(metric)
    format_axes(axes, label[0].upper() + label[1:], label)


def _mark_epochs(axes: "Axes", data: RunData) -> None:
    """Draw lines at the best epoch, and where the run stopped."""
    if data.best_epoch is not None:
        label = f"best epoch: {data.best_epoch}, {data.monitor} {data.best_value:.4g}"
        axes.axvline(data.best_epoch, color="#000000", linestyle=":", linewidth=1.2, label=label, zorder=1)
    if data.stop_reason is not None:
        label = f"stopped in epoch {data.epochs[-1]}: {data.stop_reason}"
        axes.axvline(data.epochs[-1], color=GREY, linestyle="-.", linewidth=1.2, label=label, zorder=1)


def _draw_seconds(axes: "Axes", data: RunData) -> None:
    seconds = data.history.get("seconds")
    if not seconds:
        show_message(axes, "Seconds per epoch", "no timing data")
        return
    mean, edges = sum(seconds) / len(seconds), [epoch - 0.5 for epoch in (*data.epochs, data.epochs[-1] + 1)]
    axes.stairs(seconds, edges, fill=True, color=COLOURS[2], alpha=0.6)
    axes.axhline(mean, color="#333333", linewidth=1, linestyle="--", label=f"mean {mean:.3g} s")
    format_axes(axes, f"Seconds per epoch, {sum(seconds):.3g} s in total", "seconds")
    axes.legend(frameon=False, fontsize="small")


def _draw_gap(axes: "Axes", data: RunData) -> None:
    """Draw the gap between validation and training loss, with the band in which it is well balanced."""
    if "val_loss" not in data.history:
        show_message(axes, "Gap: val_loss - loss", "no validation data")
        return
    gap = [val - train for val, train in zip(data.history["val_loss"], data.history["loss"], strict=True)]
    draw_line(axes, data.epochs, gap, color=COLOURS[3], linewidth=1.8)
    scale = data.loss_scale if math.isfinite(data.loss_scale) else 1.0 if len(data.metrics) == 1 else None
    if scale is not None:
        axes.axhspan(UNDERFITTING * scale, MODERATE * scale, color="#999999", alpha=0.15, linewidth=0)
    axes.axhline(0, color="#333333", linewidth=1)
    _limit_gap_axis(axes, gap, data.loss_scale)
    format_axes(axes, f"Gap in epoch {data.epochs[-1]}: {_describe_gap(gap[-1], data)}", "val_loss - loss")


def _limit_gap_axis(axes: "Axes", gap: list[float], loss_scale: float) -> None:
    """Limit the axis to the second half of the run and the bounds of the verdict: the first gaps may be much larger."""
    second_half = [abs(value) for value in gap[len(gap) // 2 :] if math.isfinite(value)]
    limit = 3 * max([*second_half, HIGH * loss_scale] if math.isfinite(loss_scale) else second_half, default=0.0)
    low, high = axes.get_ylim()
    if SMALLEST < limit < max(-low, high):
        axes.set_ylim(max(low, -limit), min(high, limit))


def _describe_gap(gap: float, data: RunData) -> str:
    """The gap, and the verdict on it if the scale of the loss is known."""
    if not math.isfinite(gap):
        return verdict(gap)
    scale = data.loss_scale
    if scale == 1.0:
        return f"{verdict(gap)} ({gap:+.3f})"
    if math.isfinite(scale):
        return f"{verdict(gap, scale)}\n({gap:+.4g}, {gap / scale:+.1%} of a constant prediction's loss)"
    if len(data.metrics) == 1:
        return f"{gap:+.4g}\nif the loss is a cross-entropy: {verdict(gap)}"
    return f"{gap:+.4g}\nno verdict from a history alone:\na Fit or a Run knows the scale of the loss"


def _draw_rate(axes: "Axes", data: RunData) -> None:
    rates = data.history.get("lr")
    if not rates:
        show_message(axes, "Learning rate", "no learning rates")
        return
    draw_line(axes, data.epochs, rates, color=COLOURS[0], linewidth=1.8, drawstyle="steps-mid")
    if min(rates) > 0 and max(rates) > 30 * min(rates):
        axes.set_yscale("log")
    format_axes(axes, "Learning rate", "learning rate")
