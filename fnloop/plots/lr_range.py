"""A learning-rate range test: the loss over the rate."""

from typing import TYPE_CHECKING

from fnloop.plots.drawing import COLOURS, format_axes, new_figure

if TYPE_CHECKING:
    from fnloop.plots.figure import NotebookFigure
    from fnloop.training.lr_range_test import LRRange


def lr_range_test(result: "LRRange") -> "NotebookFigure":
    """A range test: the loss of each step and the smoothed loss over the learning rate, and the rate that is suggested.

    A loss above the picture, which ends a little above the smoothed loss, is a triangle at its upper edge.

    Args:
        result: What `fl.lr_range_test` returns.

    Raises:
        ValueError: If it has no step, so that there is nothing to draw.
    """
    if not len(result.lr):
        raise ValueError(f"result must have at least one step, got none; the test ended: {result.stop_reason}")
    figure = new_figure(9, 5.5)
    axes = figure.subplots()
    axes.plot(result.lr, result.smoothed, color=COLOURS[0], linewidth=2.2, label="smoothed")
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
        axes.axvline(at, color=COLOURS[1], linestyle="--", linewidth=1.2)
        axes.plot([at], [result.smoothed[result.steepest]], "o", color=COLOURS[1], label=f"suggestion {at:.2g}")
    format_axes(axes, f"Learning-rate range test: {title}", "loss", "learning rate")
    axes.legend(frameon=False)
    return figure
