"""Bounds for the rate of a schedule."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import NonNegative
from fnloop.core.formatting import Call, short
from fnloop.core.records import frozen
from fnloop.core.signatures import explain_calls
from fnloop.schedulers.composed import ComposedState, Metrics, rate_at, states_of_parts
from fnloop.schedulers.migration import Comparable, Migrated, migrate
from fnloop.schedulers.scheduler import LearningRateState, Scheduler, check_scheduler


@frozen
class Clamped(Scheduler):
    """A schedule with bounds, as `clamp` returns it: lr(t) = min(max(the schedule's rate at t, low), high)."""

    schedulers: tuple[Scheduler]
    low: NonNegative
    high: NonNegative

    def __attrs_post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low must be at most high={short(self.high)}, got {short(self.low)}")

    def init(self) -> ComposedState:
        """Return the state at t = 0."""
        return self._state(0, self.schedulers[0].init())

    def step(self, state: ComposedState, metrics: Metrics = None) -> ComposedState:
        """Return the state at t + 1."""
        return self._state(state.t + 1, self.schedulers[0].step(state.parts[0], metrics))

    def migrate(self, state: Any, t: int, comparable: Comparable) -> Migrated:
        """Return the state at t after another schedule."""
        part, complete = migrate(self.schedulers[0], states_of_parts(state, 1)[0], t, comparable)
        return Migrated(self._state(t, part), complete)

    def _state(self, t: int, part: LearningRateState) -> ComposedState:
        return ComposedState(t, min(max(part.lr, self.low), self.high), (part,))

    def __call__(self, t: int | Array) -> Any:
        """Return the learning rate at t, if the schedule has a closed form."""
        lr = np.clip(rate_at(self.schedulers[0], t), self.low, self.high)
        return lr if np.ndim(t) else float(lr)

    def __as_call__(self) -> Call:
        return Call("clamp", self.schedulers, {"low": self.low, "high": self.high})


@explain_calls()
def clamp(scheduler: Scheduler, low: float = 0.0, high: float = float(np.finfo(np.float64).max)) -> Clamped:
    """Bound the rates of a schedule; the schedule itself continues as if it had no bounds.

    Args:
        scheduler: The schedule.
        low: Smallest learning rate, at least 0. Default: 0.
        high: Largest learning rate, at least `low`. Default: the largest float64, no bound.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a bound is negative, or `low` is above `high`.

    Examples:
        >>> from fnloop.schedulers import ExponentialLR
        >>> [clamp(ExponentialLR(0.1, gamma=0.5), low=0.04)(t) for t in range(3)]
        [0.1, 0.05, 0.04]
    """
    return Clamped((check_scheduler("scheduler", scheduler),), low, high)
