"""Schedules whose learning rate is a formula of t alone: reading it has no effect, in whatever order."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.formatting import short
from fnloop.core.records import frozen

Comparable = Callable[[str], bool]  # whether values of a metric from before can be compared with those to come


@frozen
class SchedulerState:
    """Where a closed-form schedule stands: `t`, the 0-based epoch (or step) about to be trained, and its learning rate."""

    t: int
    lr: float


class ClosedForm:
    """What a formula needs to be a scheduler: `init`, `step`, and the call at any `t`."""

    __slots__ = ()

    def formula(self, t: Any) -> Any:
        """The learning rate at t, an array of floats that hold whole numbers."""
        raise NotImplementedError

    def init(self) -> SchedulerState:
        """The state before anything is trained, at t = 0."""
        return SchedulerState(0, self(0))

    def step(self, state: SchedulerState, metrics: Mapping[str, float] | None = None) -> SchedulerState:
        """The state at t + 1; a closed form asks for no metrics."""
        return SchedulerState(state.t + 1, self(state.t + 1))

    def migrate(self, state: Any, t: int, comparable: Comparable) -> tuple[SchedulerState, bool]:
        """This schedule's state at t, whatever schedule was followed before: see `fnloop.schedulers.migrate`."""
        return SchedulerState(t, self(t)), True

    def __call__(self, t: int | Array) -> Any:
        """The learning rate at t: a float for an int, an array of float64 for an array of ints.

        Raises: TypeError: if t is not whole; ValueError: if it is negative.
        """
        at = check_times(t)
        lr = self.formula(np.atleast_1d(at).astype(np.float64))
        return float(lr[0]) if at.ndim == 0 else lr.reshape(at.shape)


def check_times(t: int | Array) -> Array:
    """The array of t, if t is what a schedule can be called with."""
    at = np.asarray(t)
    if at.dtype.kind not in "iu":
        raise TypeError(f"t must be an integer or an array of integers, got {short(t)}")
    if at.size and at.min() < 0:
        raise ValueError(f"t must be at least 0, got {short(t)}")
    return at


def share(t: Any, length: Any) -> Any:
    """The share of a phase that has passed t steps after its start, in [0, 1]: 0 before it, 1 after it.

    A phase of length 0 has passed from its start on.
    """
    return np.clip(t / length, 0.0, 1.0) if np.all(length) else np.where(t >= 0, 1.0, 0.0)


def between(first: Any, last: Any, x: Any) -> Any:
    """The rate at x in [0, 1] on the straight line between two rates of any sizes: exact at both ends, never beyond them."""
    return np.where(x < 0.5, first + (last - first) * x, last - (last - first) * (1 - x))


def half_cosine(x: Any) -> Any:
    """What is left at x in [0, 1] of a descent along half a cosine, from 1 at 0 to exactly 0 at 1."""
    return (1 + np.cos(np.pi * x)) / 2
