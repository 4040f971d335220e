"""The figure of a learning-rate range test: the loss over the learning rate."""

from typing import TYPE_CHECKING

from fnloop.plots.drawing import COLOURS, format_axes, new_figure

if TYPE_CHECKING:
    from fnloop.plots.figure import NotebookFigure
    from fnloop.training.lr_range_test import LRRange


def lr_range_test(result: "LRRange") -> "NotebookFigure":
    """Draw a range test: the loss of each step, the smoothed loss, and the suggested learning rate.

    The y axis ends a little above the largest smoothed loss; a larger loss of a step is a triangle at the upper edge.

    Args:
        result: The result of `fnloop.lr_range_test`.

    Returns:
        The figure, with one panel.

    Raises:
        ValueError: If the result has no steps.

    See Also:
        `fnloop.lr_range_test`
    """
    if not len(result.lr):
        raise ValueError(f"result must have at least one step, got none; the test ended: {result.stop_reason}")
    figure = new_figure(9, 5.5)
    axes = figure.subplots()
    axes.plot(result.lr, result.smoothed, color=COLOURS[0], linewidth=2.2, label="smoothed")
    axes.set_xscale("log")
    low, high = float(min(result.smoothed.min(), result.loss.min())), float(result.smoothed.max())
    margin = 0.5 * (high - low) or 1.0
    top = high + margin  # an exploding loss would flatten everything else
    axes.set_ylim(low - 0.2 * margin, top)
    is_inside = result.loss <= top
    axes.plot(result.lr[is_inside], result.loss[is_inside], ".", color="#888888", label="loss of a step", zorder=1)
    if not is_inside.all():
        above = result.lr[~is_inside]
        label = f"above {top:.2g}"
        axes.plot(above, [top] * len(above), "^", color="#888888", clip_on=False, label=label, zorder=1)
    if result.steepest is None:
        title = "no suggestion, the loss did not fall"
    else:
        rate, title = result.suggestion, f"suggested {result.suggestion:.2g}, where the smoothed loss falls fastest"
        axes.axvline(rate, color=COLOURS[1], linestyle="--", linewidth=1.2)
        axes.plot([rate], [result.smoothed[result.steepest]], "o", color=COLOURS[1], label=f"suggestion {rate:.2g}")
    format_axes(axes, f"Learning-rate range test: {title}", "loss", "learning rate")
    axes.legend(frameon=False)
    return figure
