"""Schedules whose learning rate is a formula of t alone, so that it can be read at any t, in any order."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.formatting import short
from fnloop.schedulers.migration import Comparable, Migrated
from fnloop.schedulers.scheduler import Scheduler, SchedulerState


class ClosedForm(Scheduler):
    """Base of a schedule in closed form: a subclass defines `formula`, and inherits `init`, `step` and the call at any `t`.

    Examples:
        >>> import fnloop as fl
        >>> @fl.frozen
        ... class SqrtLR(fl.schedulers.ClosedForm):
        ...     initial_lr: float
        ...
        ...     def formula(self, t):
        ...         return self.initial_lr / (1 + t) ** 0.5
        >>> SqrtLR(0.1)(3)
        0.05
    """

    __slots__ = ()

    def __init__(self) -> None:
        """Create the schedule; a frozen subclass has its fields as arguments."""

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t.

        Args:
            t: Whole numbers of at least 0, float64, (n,).
        """
        raise NotImplementedError(f"{type(self).__name__} must define formula(t)")

    def init(self) -> SchedulerState:
        """Return the state at t = 0."""
        return SchedulerState(0, self(0))

    def step(self, state: SchedulerState, metrics: Mapping[str, float] | None = None) -> SchedulerState:
        """Return the state at t + 1; metrics are not read."""
        return SchedulerState(state.t + 1, self(state.t + 1))

    def migrate(self, state: Any, t: int, comparable: Comparable) -> Migrated:
        """Return the state at t, which does not depend on the earlier schedule.

        Args:
            state: The state of the schedule that it replaces, or None.
            t: The 0-based epoch (or step) about to be trained.
            comparable: Takes the name of a metric and returns whether its earlier values can be compared with later ones.
        """
        return Migrated(SchedulerState(t, self(t)), True)

    def __call__(self, t: int | Array) -> Any:
        """Return the learning rate at t: a float for an int, an array of float64 for an array of ints.

        Raises:
            TypeError: If t is not an integer or an array of integers.
            ValueError: If t is negative, or `formula` does not return one rate for each t.
        """
        times = check_times(t)
        flat = times.reshape(-1).astype(np.float64)
        lr = np.asarray(self.formula(flat))
        if lr.shape != flat.shape:
            raise ValueError(f"formula of {short(self)} must return an array of t's shape {flat.shape}, got {short(lr[()])}")
        return float(lr[0]) if times.ndim == 0 else lr.reshape(times.shape)


def check_times(t: int | Array) -> Array:
    """Return t as an array.

    Raises:
        TypeError: If t is not an integer or an array of integers.
        ValueError: If t is negative.
    """
    times = np.asarray(t)
    if times.dtype.kind not in "iu":
        raise TypeError(f"t must be an integer or an array of integers, got {short(t)}")
    if times.size and times.min() < 0:
        raise ValueError(f"t must be at least 0, got {short(t)}")
    return times


def fraction(t: Array, length: float | Array) -> Array:
    """Return the fraction of a phase that has passed `t` epochs (or steps) after its start, clipped to [0, 1].

    A phase of length 0 is complete from its start.
    """
    return np.clip(t / length, 0.0, 1.0) if np.all(length) else np.where(t >= 0, 1.0, 0.0)


def interpolate(first: float | Array, last: float | Array, x: Array) -> Array:
    """Interpolate linearly between two rates at x in [0, 1]: exact at both ends, and never outside them."""
    return np.where(x < 0.5, first + (last - first) * x, last - (last - first) * (1 - x))


def half_cosine(x: Array) -> Array:
    """Return half a cosine at x in [0, 1], which falls from 1 at 0 to exactly 0 at 1."""
    return (1 + np.cos(np.pi * x)) / 2
