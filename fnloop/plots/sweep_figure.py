"""The figure of a sweep: the value of each run against each hyperparameter."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

import toolz

from fnloop.core.checks import Mode
from fnloop.core.display import pluralize
from fnloop.core.formatting import cut_end, short
from fnloop.metrics import known_mode
from fnloop.plots.drawing import (
    COLOURS,
    GREY,
    draw_text_literally,
    format_axes,
    metric_label,
    needs_log_scale,
    new_figure,
    show_message,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fnloop.plots.figure import NotebookFigure

COLUMNS = 3  # panels next to one another
MOST = 12  # names of values on an axis
LONGEST = 14  # characters of the name of a value on an axis


def sweep(
    hyperparameters: Mapping[str, Sequence[Any]],
    values: Sequence[float],
    *,
    metric: str = "val_loss",
    mode: Mode | None = None,
) -> "NotebookFigure":
    """Draw the best value of each run against each hyperparameter, in a panel each.

    A point is a run, a line is the mean of runs with an equal value, and a ring marks the best run. Numbers that are not whole
    and differ by a factor of 10 or more, such as learning rates, have a log axis. Runs without a value are crosses at the
    lower edge. Hyperparameters whose values are equal in each run, such as the outputs of a layer and the inputs of the next,
    share a panel.

    Args:
        hyperparameters: The name of each hyperparameter that varies, to its value for each run.
        values: The value of each run; NaN if it has none.
        metric: The name of the metric. Default: `"val_loss"`.
        mode: Whether the smallest (`"min"`) or the largest (`"max"`) value is best. Default: None, that of the metric.

    Returns:
        The figure.

    Raises:
        ValueError: If there are no runs, or numbers do not match.

    Examples:
        >>> sweep({"lr": [0.001, 0.01, 0.1]}, [0.5, 0.25, 0.9]).get_suptitle()
        'Best of 3 runs: val_loss 0.25 with lr=0.01'

    See Also:
        `Sweep.plot`
    """
    if not len(values):
        raise ValueError("values must have at least one value, got none")
    for name, given in hyperparameters.items():
        if len(given) != len(values):
            raise ValueError(
                f"hyperparameters must have one value for each run: {short(name)} has {len(given)}, not {len(values)}"
            )
    known = [i for i, value in enumerate(values) if math.isfinite(value)]
    sign = -1 if (mode or known_mode(metric)) == "max" else 1
    best = min(known, key=lambda i: sign * values[i]) if known else None
    shared = _share(hyperparameters)
    columns = max(1, min(COLUMNS, len(shared)))
    rows = max(1, -(-len(shared) // columns))
    figure = new_figure(max(6, 5 * columns), 4 * rows + 0.5)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, names in zip(panels, shared, strict=False):
        _draw_panel(axes, ",\n".join(names), list(hyperparameters[names[0]]), values, metric, best)
    for axes in panels[len(shared) :]:
        axes.set_axis_off()
    if not hyperparameters:
        show_message(panels[0], "", "no hyperparameter varies")
    figure.suptitle(_title({name: hyperparameters[name] for name, *_ in shared}, values, metric, best))
    draw_text_literally(figure)
    return figure


def _share(hyperparameters: Mapping[str, Sequence[Any]]) -> list[list[str]]:
    """Return the names of each panel: those whose values are equal in each run."""
    return list(toolz.groupby(lambda name: repr(list(hyperparameters[name])), hyperparameters).values())


def _title(hyperparameters: Mapping[str, Sequence[Any]], values: Sequence[float], metric: str, best: int | None) -> str:
    """The best run, and the number of runs without a value."""
    failed = len(values) - sum(map(math.isfinite, values))
    note = f"  ({pluralize(failed, 'run')} without a best state)" if failed else ""
    if best is None:
        return f"No run of {len(values)} has a best state"
    at = ", ".join(f"{name}={_text(given[best])}" for name, given in hyperparameters.items())
    return cut_end(f"Best of {len(values)} runs: {metric} {values[best]:.4g}{' with ' + at if at else ''}", 110) + note


def _draw_panel(axes: "Axes", name: str, given: list[Any], values: Sequence[float], metric: str, best: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    texts = [] if all(map(_is_number, given)) else _names(given)
    labels = list(dict.fromkeys(texts))
    positions = [float(labels.index(text)) for text in texts] if labels else list(map(float, given))
    known = [i for i, value in enumerate(values) if math.isfinite(value)]
    axes.plot([positions[i] for i in known], [values[i] for i in known], "o", color=COLOURS[0], markersize=5, alpha=0.5)
    if not labels:
        _draw_means(axes, [positions[i] for i in known], [values[i] for i in known])
    if best is not None:
        axes.plot(positions[best], values[best], "o", color=COLOURS[1], markersize=12, fillstyle="none", markeredgewidth=2.2)
    lost = [position for position, value in zip(positions, values, strict=True) if not math.isfinite(value)]
    if lost:
        axes.plot(lost, [0.02] * len(lost), "x", color=GREY, markersize=6, transform=axes.get_xaxis_transform())
    if not labels and _is_wide(given) and min(given) > 0:
        axes.set_xscale("log")
    if known and needs_log_scale([values[i] for i in known]):
        axes.set_yscale("log")
    format_axes(axes, "", metric_label(metric), "learning rate" if name in {"lr", "initial_lr", "max_lr"} else name)
    if labels:
        axes.set_xlim(-0.5, len(labels) - 0.5)
        shown = range(0, len(labels), -(-len(labels) // MOST))
        rotation: dict[str, Any] = {"rotation": 20, "ha": "right"} if sum(map(len, labels)) > 45 else {}
        axes.set_xticks(shown, [cut_end(labels[i], LONGEST) for i in shown], **rotation)
    elif all(float(value).is_integer() for value in given):
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    elif min(given) == 0:
        _leave_room_for_zero(axes, given)


def _names(given: Sequence[Any]) -> list[str]:
    """Return a name for each value; of many different calls, the name of what is called."""
    texts = list(map(_text, given))
    return texts if len(set(texts)) <= MOST else [text.partition("(")[0] for text in texts]


def _draw_means(axes: "Axes", positions: Sequence[float], values: Sequence[float]) -> None:
    """Draw a line through the means of runs with an equal value, if each is the value of several."""
    distinct = sorted(set(positions))
    if 2 * len(distinct) <= len(positions):
        of_value = [[v for p, v in zip(positions, values, strict=True) if p == position] for position in distinct]
        axes.plot(distinct, list(map(fmean, of_value)), "-", color="#000000", linewidth=1.5)


def _is_wide(given: Sequence[float]) -> bool:
    """Return whether numbers, such as rates, need a log axis: not all whole, none below 0, and a factor of 10 apart."""
    sizes = [float(value) for value in given if value]
    is_far = bool(sizes) and min(sizes) > 0 and max(sizes) >= 10 * min(sizes)
    return is_far and not all(size.is_integer() for size in sizes)


def _leave_room_for_zero(axes: "Axes", given: Sequence[float]) -> None:
    """Set a log axis that is linear up to the smallest number above 0, if the others need a log axis."""
    if not _is_wide(given):
        return
    sizes = [float(value) for value in given if value]
    axes.set_xscale("symlog", linthresh=min(sizes))
    decades = range(math.floor(math.log10(min(sizes))), math.ceil(math.log10(max(sizes))) + 1)
    ticks = [0.0, *(10.0**decade for decade in decades[:: -(-len(decades) // MOST)])]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlim(-0.3 * min(sizes), 1.5 * max(sizes))
    axes.minorticks_off()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
