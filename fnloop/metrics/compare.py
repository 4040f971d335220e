"""Comparison of two values of a metric."""

import math
from collections.abc import Mapping

from fnloop.core.checks import Mode
from fnloop.core.formatting import listed, short


def worst(mode: Mode) -> float:
    """Return the worst value of a metric.

    Args:
        mode: `"min"`, for which inf is worst, or `"max"`, for which -inf is.
    """
    return math.inf if mode == "min" else -math.inf


def improves(value: float, best: float, mode: Mode, min_delta: float = 0.0) -> bool:
    """Return whether a value is better than the best one by more than `min_delta`; NaN never is.

    Args:
        value: The new value.
        best: The best value so far.
        mode: `"min"` if the smallest value is best, `"max"` if the largest.
        min_delta: The difference that does not count as better, at least 0; in the units of the metric. Default: 0.

    Examples:
        >>> improves(0.5, 0.6, "min"), improves(0.5, 0.6, "min", min_delta=0.2)
        (True, False)
    """
    return value < best - min_delta if mode == "min" else value > best + min_delta


def look_up(metrics: Mapping[str, float], metric: str) -> float:
    """Return the value of a metric.

    Args:
        metrics: The metrics of an epoch by name.
        metric: The name of the metric.

    Raises:
        ValueError: If the run does not have this metric; the message lists those that it has.
    """
    if metric not in metrics:
        raise ValueError(f"metric {short(metric)} is not produced by this run; it produces {listed(metrics)}")
    return metrics[metric]
