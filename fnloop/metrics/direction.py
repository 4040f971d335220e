"""The mode of a metric: whether its smallest or its largest value is best."""

import re
from collections.abc import Iterable

from fnloop.core.checks import Mode, choice, metric_name
from fnloop.core.formatting import short
from fnloop.metrics.named import METRICS, AnyMetric

_TOP_K = re.compile(r"top_\d+_accuracy")


def known_mode(name: str, metrics: Iterable[AnyMetric] = ()) -> Mode | None:
    """Return the mode of a metric, or None if it is unknown.

    Args:
        name: The name of a metric, as in `state.metrics`.
        metrics: Metrics to look the name up in, before those of the package. Default: none.

    Examples:
        >>> known_mode("val_mae"), known_mode("my_metric")
        ('min', None)
    """
    base = name.removeprefix("val_")
    if base.endswith(("loss", "error")):
        return "min"
    for metric in metrics:
        if metric.name == base:
            return metric.mode
    if _TOP_K.fullmatch(base):
        return "max"
    return METRICS[base].mode if base in METRICS else None


def is_loss(name: str) -> bool:
    """Return whether a metric is the loss, on training or validation data.

    Args:
        name: The name of the metric, such as `"val_loss"`.
    """
    return name.removeprefix("val_") == "loss"


def mode_of(name: str, metrics: Iterable[AnyMetric] = ()) -> Mode:
    """Return the mode of a metric: `"min"` if its smallest value is best, `"max"` if its largest.

    A name that ends in `loss` or `error` has the mode `"min"`; any other name has the mode of the metric. The prefix `val_`
    makes no difference.

    Args:
        name: The name of a metric, as in `state.metrics`.
        metrics: Metrics to look the name up in, before those of the package. Default: none.

    Raises:
        ValueError: If no metric with this name has a mode.

    Examples:
        >>> mode_of("val_loss"), mode_of("val_mae"), mode_of("val_f1")
        ('min', 'min', 'max')
    """
    mode = known_mode(name, metrics)
    if mode is None:
        raise ValueError(
            f"mode must be 'min' or 'max' for the metric {short(name)}, whose mode is unknown; a custom metric can have a "
            "mode: fl.metrics.Mean(function, mode='min')"
        )
    return mode


def check_mode(mode: Mode | None, name: str, metrics: Iterable[AnyMetric] = ()) -> Mode:
    """Return the given mode, or that of the metric if it is None.

    Args:
        mode: The mode, or None.
        name: The name of the metric, as in `state.metrics`.
        metrics: Metrics to look the name up in, before those of the package. Default: none.

    Raises:
        TypeError: If the name is not a string, or the mode is neither a string nor None.
        ValueError: If it is neither `"min"` nor `"max"`, or it is None and the metric's mode is unknown.
    """
    metric_name("metric", name)
    checked: Mode = choice("min", "max")("mode", mode_of(name, metrics) if mode is None else mode)
    return checked
