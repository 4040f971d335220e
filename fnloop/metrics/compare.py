"""Which of two values of a metric is better."""

import math
from collections.abc import Mapping

from fnloop.core.checks import Mode
from fnloop.core.formatting import listed, short


def worst(mode: Mode) -> float:
    """The value that no other is worse than."""
    return math.inf if mode == "min" else -math.inf


def improves(value: float, best: float, mode: Mode, min_delta: float = 0.0) -> bool:
    """Whether a value is better than the best by more than `min_delta`; NaN never is."""
    return value < best - min_delta if mode == "min" else value > best + min_delta


def look_up(metrics: Mapping[str, float], metric: str) -> float:
    """The value of a metric.

    Raises: ValueError: if it is not there, with those that are.
    """
    if metric not in metrics:
        raise ValueError(f"metric {short(metric)} is not produced by this run; it produces {listed(metrics)}")
    return metrics[metric]
