"""Whether the smallest or the largest value of a metric is best: known from the metric, by its name."""

import re
from collections.abc import Iterable
from typing import Any

from fnloop.core.checks import Mode, choice
from fnloop.core.formatting import short
from fnloop.metrics.named import METRICS

_TOP_K = re.compile(r"top_\d+_accuracy")


def known_mode(name: str, metrics: Iterable[Any] = ()) -> Mode | None:
    """The mode of a metric, or None if it is not known; see `mode_of`."""
    own = name.removeprefix("val_")
    if own.endswith(("loss", "error")):
        return "min"
    for metric in metrics:
        if metric.name == own:
            return getattr(metric, "mode", None)
    if _TOP_K.fullmatch(own):
        return "max"
    return getattr(METRICS.get(own), "mode", None)


def is_loss(name: str) -> bool:
    """Whether a metric is the loss, on training or validation data: its values mean nothing beside those of another loss."""
    return name.removeprefix("val_") == "loss"


def mode_of(name: str, metrics: Iterable[Any] = ()) -> Mode:
    """Whether the smallest or the largest value of a metric is best: `"min"` or `"max"`.

    The smallest is best for a loss or an error, that is, for a name that ends in `loss` or `error`; for any other name the
    metric itself says it. A name with the prefix `val_` is the same metric on validation data.

    Args:
        name: The name of a metric, as in `state.metrics`.
        metrics: Metrics to look the name up in, before those of the package.

    Raises:
        ValueError: If no metric of that name says which direction is better.

    Examples:
        >>> mode_of("val_loss"), mode_of("val_mae"), mode_of("val_f1")
        ('min', 'min', 'max')
    """
    mode = known_mode(name, metrics)
    if mode is None:
        raise ValueError(
            f"mode must be 'min' or 'max' for the metric {short(name)}, of which it is not known whether small or large "
            "values are better; a metric of your own can say it: fl.metrics.Mean(function, mode='min')"
        )
    return mode


def check_mode(mode: Any, name: str, metrics: Iterable[Any] = ()) -> Mode:
    """The mode as given, or that of the metric if none is given.

    Raises:
        TypeError: If it is neither a string nor None.
        ValueError: If it is neither `"min"` nor `"max"`, or None for a metric whose direction is not known.
    """
    checked: Mode = choice("min", "max")("mode", mode_of(name, metrics) if mode is None else mode)
    return checked
