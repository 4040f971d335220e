"""Pictures of runs, drawn from what the runs recorded; each function returns a figure that its caller shows or saves."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fnloop.short import listed, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fnloop.lr_range_test import LRRange

History = Mapping[str, Sequence[float]]
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito: told apart by all


def verdict(gap: float) -> str:
    """What the last gap `val_loss - loss` says: above 0.1, 0.05, -0.05, or not above any."""
    if not math.isfinite(gap):
        return "Not finite"
    if gap > 0.1:
        return "High overfitting"
    if gap > 0.05:
        return "Moderate overfitting"
    return "Well balanced" if gap > -0.05 else "Possible underfitting"


def training(history: History) -> "Figure":
    """A run in four panels: loss, the first other metric, seconds per epoch, and the gap between validation and training.

    Args:
        history: metric names to values, one an epoch; `loss` must be there; `val_loss` and `seconds` may be.
    Raises: ValueError: if there is no loss, or the lists are not of one length.
    """
    _check(history, "history")
    figure = _figure(11, 8)
    ((loss, metric), (seconds, gap)) = figure.subplots(2, 2)
    _pair(loss, history, "loss")
    _log(loss, history["loss"], history.get("val_loss", ()))
    name = next((name for name in history if name not in {"loss", "lr", "seconds"} and not name.startswith("val_")), None)
    if name is None:
        _say(metric, "Metric", "no metric beside the loss")
    else:
        _pair(metric, history, name)
    _seconds(seconds, history)
    _gap(gap, history)
    return figure


def schedulers(fits: Mapping[str, Any], tests: Mapping[str, Mapping[str, float]] | None = None) -> "Figure":
    """Runs that differ in their scheduler, in six panels; the learning rates are those that the runs used.

    Args:
        fits: scheduler names to `Fit`s.
        tests: the same names to what `evaluate` gives on the test data.
    Raises: ValueError: if there are no fits, or the names do not fit together.
    """
    histories = _histories(fits, tests)
    figure = _figure(15, 8)
    axes = figure.subplots(2, 3)
    _curves(axes[0, 0], histories, "loss", "Training loss")
    _curves(axes[0, 1], histories, "val_loss", "Validation loss", log=True)
    name = next((n for n in next(iter(histories.values())) if n.startswith("val_") and n != "val_loss"), "val_accuracy")
    _curves(axes[0, 2], histories, name, f"Validation {name.removeprefix('val_')}")
    metric = name.removeprefix("val_")
    if tests is None:
        _say(axes[1, 0], f"Test {metric}", "no test data")
    else:
        _bars(axes[1, 0], {name: test[metric] for name, test in tests.items()}, f"Final test {metric}", "{:.3f}")
    _bars(axes[1, 1], {name: history["lr"][-1] for name, history in histories.items()}, "Final learning rate", "{:.2g}")
    _curves(axes[1, 2], histories, "lr", "Learning rate, as used")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def lr_range_test(result: "LRRange") -> "Figure":
    """A range test: the loss of each step and the smoothed loss over the learning rate, and the rate that is suggested.

    A loss above the picture, which ends a little above the smoothed loss, stands as a triangle at its upper edge.

    Args:
        result: what `fl.lr_range_test` returns.
    Raises: ValueError: if it has no step, so that there is nothing to draw.
    """
    if not len(result.lr):
        raise ValueError(f"result must have at least one step, got none; the test ended: {result.stop_reason}")
    figure = _figure(9, 5.5)
    axes = figure.subplots()
    axes.plot(result.lr, result.smoothed, color=COLOURS[0], linewidth=2, label="smoothed")
    axes.set_xscale("log")
    low, high = float(min(result.smoothed.min(), result.loss.min())), float(result.smoothed.max())
    room = 0.5 * (high - low) or 1.0
    top = high + room  # how far the loss explodes would press all else to a line
    axes.set_ylim(low - 0.2 * room, top)
    inside = result.loss <= top
    axes.plot(result.lr[inside], result.loss[inside], ".", color="#888888", label="loss of a step", zorder=1)
    if not inside.all():
        above = result.lr[~inside]
        label = f"above {top:.2g}"
        axes.plot(above, [top] * len(above), "^", color="#888888", clip_on=False, label=label, zorder=1)
    if result.steepest is None:
        title = "no suggestion: the loss did not fall"
    else:
        at, title = result.suggestion, f"suggested {result.suggestion:.2g}, where the smoothed loss falls fastest"
        axes.axvline(at, color=COLOURS[1], linestyle="--", linewidth=1)
        axes.plot([at], [result.smoothed[result.steepest]], "o", color=COLOURS[1], label=f"suggestion {at:.2g}")
    _dress(axes, f"Learning-rate range test: {title}", "loss", "learning rate")
    axes.legend(frameon=False)
    return figure


def comparison(fits: Mapping[str, Any], tests: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """A row for each scheduler: its test accuracy, test loss and final learning rate, as the run used it."""
    histories = _histories(fits, tests)
    return [
        {
            "scheduler": name,
            "test accuracy": tests[name]["accuracy"],
            "test loss": tests[name]["loss"],
            "final lr": history["lr"][-1],
        }
        for name, history in histories.items()
    ]


def best_performer(rows: Sequence[Mapping[str, Any]]) -> str:
    """The scheduler with the highest test accuracy; of equals, the one with the lower test loss."""
    return str(max(rows, key=lambda row: (row["test accuracy"], -row["test loss"]))["scheduler"])


def _check(history: History, name: str) -> None:
    if not history.get("loss"):
        raise ValueError(f"{name} must hold 'loss' with a value an epoch, got {listed(history)}")
    lengths = {metric: len(values) for metric, values in history.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{name} must have lists of one length, got {lengths}")


def _histories(fits: Mapping[str, Any], tests: Mapping[str, Any] | None) -> dict[str, History]:
    if not isinstance(fits, Mapping) or not fits:
        raise ValueError(f"fits must map names of schedulers to at least one Fit, got {short(fits)}")
    if tests is not None and tests.keys() != fits.keys():
        raise ValueError(f"tests must have the names of fits, {listed(fits)}, got {listed(tests)}")
    histories = {name: fit.history for name, fit in fits.items()}
    for name, history in histories.items():
        _check(history, f"the history of {short(name)}")
        if "lr" not in history:
            raise ValueError(f"the history of {short(name)} must hold 'lr', got {listed(history)}")
    return histories


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _epochs(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)


def _dress(axes: "Axes", title: str, label: str, over: str = "epoch") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title)
    axes.set_xlabel(over)
    axes.set_ylabel(label)
    if over == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)


def _say(axes: "Axes", title: str, text: str) -> None:
    """A panel without data says so."""
    axes.set_title(title)
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color="#666666")


def _line(axes: "Axes", values: Sequence[float], **style: Any) -> None:
    axes.plot(_epochs(values), values, marker="o" if len(values) == 1 else None, **style)


def _pair(axes: "Axes", history: History, name: str) -> None:
    """A metric in training and, if there is one, in validation."""
    _line(axes, history[name], color=COLOURS[0], label="train")
    if f"val_{name}" in history:
        _line(axes, history[f"val_{name}"], color=COLOURS[1], label="validation")
    else:
        axes.text(0.98, 0.5, "no validation data", ha="right", transform=axes.transAxes, color="#666666")
    label = {"r2": "R²", "mae": "MAE"}.get(name, name)
    _dress(axes, label[0].upper() + label[1:], label)
    axes.legend(frameon=False)


def _log(axes: "Axes", *series: Sequence[float]) -> None:
    """A log scale, where any value can stand on it."""
    if any(value > 0 for values in series for value in values):
        axes.set_yscale("log", nonpositive="mask")


def _seconds(axes: "Axes", history: History) -> None:
    if not history.get("seconds"):
        _say(axes, "Seconds per epoch", "no timing data")
        return
    seconds = history["seconds"]
    mean = sum(seconds) / len(seconds)
    axes.bar(_epochs(seconds), seconds, width=1.0, color=COLOURS[2], alpha=0.6)
    axes.axhline(mean, color="#333333", linewidth=1, linestyle="--", label=f"mean {mean:.3g} s")
    _dress(axes, "Seconds per epoch", "seconds")
    axes.legend(frameon=False)


def _gap(axes: "Axes", history: History) -> None:
    if "val_loss" not in history:
        _say(axes, "Gap: val_loss - loss", "no validation data")
        return
    gap = [val - own for val, own in zip(history["val_loss"], history["loss"], strict=True)]
    _line(axes, gap, color=COLOURS[3])
    axes.axhspan(-0.05, 0.05, color="#999999", alpha=0.15, linewidth=0)
    axes.axhline(0, color="#333333", linewidth=1)
    _dress(axes, f"Gap: {verdict(gap[-1])} ({gap[-1]:+.3f})", "val_loss - loss")


def _curves(axes: "Axes", histories: Mapping[str, History], metric: str, title: str, log: bool = False) -> None:
    if any(metric not in history for history in histories.values()):
        _say(axes, title, "no validation data")
        return
    for i, (name, history) in enumerate(histories.items()):
        _line(axes, history[metric], color=COLOURS[i % len(COLOURS)], label=name)
    if log:
        _log(axes, *(history[metric] for history in histories.values()))
    _dress(axes, title, "learning rate" if metric == "lr" else metric.removeprefix("val_"))


def _bars(axes: "Axes", values: Mapping[str, float], title: str, form: str) -> None:
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(values))]
    bars = axes.bar(list(values), list(values.values()), color=colours)
    axes.bar_label(bars, labels=[form.format(value) for value in values.values()], padding=2)
    positive = [value for value in values.values() if value > 0]
    if len(positive) == len(values) and max(positive) > 100 * min(positive):
        axes.set_yscale("log")
    axes.margins(y=0.15)
    axes.set_title(title)
    axes.set_ylabel(title.lower())
    axes.grid(axis="y", alpha=0.25)
