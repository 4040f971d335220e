"""Interpolation between given rates, and schedules from any function."""

from collections.abc import Callable
from dataclasses import KW_ONLY
from typing import Annotated

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import NonNegatives, Positive, Times, choice
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm, fraction, half_cosine, interpolate


@frozen
class PiecewiseLR(ClosedForm):
    """Interpolate between the points (times[i], values[i]); constant before the first and after the last.

    Args:
        times: Epochs (or steps) in ascending order; of equal ones the last counts.
        values: Learning rates, at least 0, one for each time.
        interpolate: `"linear"`, `"cos"`, or `"previous"`, which keeps a value until the next time. Default: `"linear"`.

    Raises:
        ValueError: If a parameter is outside its interval, or the numbers of times and values differ or are 0.

    Examples:
        >>> PiecewiseLR([0, 10], [0.0, 0.1])(5)
        0.05
    """

    times: Times
    values: NonNegatives
    _: KW_ONLY
    interpolate: Annotated[str, choice("linear", "cos", "previous")] = "linear"

    def __attrs_post_init__(self) -> None:
        if not self.times or len(self.times) != len(self.values):
            raise ValueError(
                f"values must be as many as times, at least one, got {len(self.values)} for {len(self.times)} times"
            )

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        times, values = np.array(self.times, np.float64), np.array(self.values)
        before = np.searchsorted(times, t, side="right") - 1
        i, j = np.maximum(before, 0), np.minimum(before + 1, len(times) - 1)
        x = np.where(times[j] > times[i], fraction(t - times[i], np.maximum(times[j] - times[i], 1)), 0.0)
        x = {"linear": x, "cos": 1 - half_cosine(x), "previous": np.zeros_like(x)}[self.interpolate]
        return interpolate(values[i], values[j], x)


@frozen
class LambdaLR(ClosedForm):
    """Multiply the learning rate by any function of t: lr(t) = initial_lr * function(t).

    A trainer with a function cannot be written to a file, since a function is not data; its states can.

    Args:
        initial_lr: The learning rate that the function multiplies, above 0.
        function: Takes t, an int of at least 0, and returns a finite number of at least 0.

    Raises:
        TypeError: If the function is not callable.
        ValueError: If a value of the function is negative or not finite, when that t is reached.

    Examples:
        >>> LambdaLR(0.1, lambda t: 1 / (1 + t))(1)
        0.05
    """

    initial_lr: Positive
    function: Callable[[int], float]

    def __attrs_post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"function must be callable, got {short(self.function)}")

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        return self.initial_lr * np.array([self._factor(int(at)) for at in t.ravel()], np.float64).reshape(t.shape)

    def _factor(self, t: int) -> float:
        factor = float(self.function(t))
        if not 0 <= factor < np.inf:
            raise ValueError(f"function must return finite numbers of at least 0, got {short(factor)} at t={t}")
        return factor
