"""Schedules that run in sequence, or repeat."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import PositiveInt, Times, integer, real
from fnloop.core.formatting import Call, short
from fnloop.core.records import frozen
from fnloop.core.signatures import explain_calls
from fnloop.schedulers.closed_form import check_times
from fnloop.schedulers.composed import ComposedState, Metrics, rate_at, states_of_parts
from fnloop.schedulers.migration import Comparable, Migrated, migrate
from fnloop.schedulers.polynomial import LinearLR
from fnloop.schedulers.scheduler import Scheduler, check_scheduler


@frozen
class Joined(Scheduler):
    """Schedules in sequence, as `join` returns them.

    lr(t) = the i-th schedule's rate at t - boundaries[i - 1], where i is the number of boundaries at or before t.
    """

    schedulers: tuple[Scheduler, ...]
    boundaries: Times

    def _index(self, t: int) -> int:
        return int(np.searchsorted(self.boundaries, t, side="right"))

    def init(self) -> ComposedState:
        """Return the state at t = 0."""
        part = self.schedulers[self._index(0)].init()
        return ComposedState(0, part.lr, (part,))

    def step(self, state: ComposedState, metrics: Metrics = None) -> ComposedState:
        """Return the state at t + 1; the schedule in use gets the metrics."""
        before, i = self._index(state.t), self._index(state.t + 1)
        part = self.schedulers[i].step(state.parts[0], metrics) if i == before else self.schedulers[i].init()
        return ComposedState(state.t + 1, part.lr, (part,))

    def migrate(self, state: Any, t: int, comparable: Comparable) -> Migrated:
        """Return the state at t after another schedule."""
        i, (before,) = self._index(t), states_of_parts(state, 1)
        part, complete = migrate(self.schedulers[i], before, t - (0, *self.boundaries)[i], comparable)
        return Migrated(ComposedState(t, part.lr, (part,)), complete)

    def __call__(self, t: int | Array) -> Any:
        """Return the learning rate at t, if the schedules in use at t have a closed form."""
        at = check_times(t)
        indices = np.searchsorted(self.boundaries, at, side="right")
        starts = np.array([0, *self.boundaries])
        lr = np.empty(at.shape)
        for i, part in enumerate(self.schedulers):
            lr[indices == i] = rate_at(part, at[indices == i] - starts[i])
        return lr if at.ndim else float(lr)

    def __as_call__(self) -> Call:
        return Call("join", (self.schedulers, self.boundaries), {})


@frozen
class Repeated(Scheduler):
    """A schedule that starts over, as `repeat` returns it: lr(t) = the schedule's rate at t mod period."""

    schedulers: tuple[Scheduler]
    period: PositiveInt

    def init(self) -> ComposedState:
        """Return the state at t = 0."""
        part = self.schedulers[0].init()
        return ComposedState(0, part.lr, (part,))

    def step(self, state: ComposedState, metrics: Metrics = None) -> ComposedState:
        """Return the state at t + 1."""
        t, scheduler = state.t + 1, self.schedulers[0]
        part = scheduler.step(state.parts[0], metrics) if t % self.period else scheduler.init()
        return ComposedState(t, part.lr, (part,))

    def migrate(self, state: Any, t: int, comparable: Comparable) -> Migrated:
        """Return the state at t after another schedule."""
        part, complete = migrate(self.schedulers[0], states_of_parts(state, 1)[0], t % self.period, comparable)
        return Migrated(ComposedState(t, part.lr, (part,)), complete)

    def __call__(self, t: int | Array) -> Any:
        """Return the learning rate at t, if the schedule has a closed form."""
        at = check_times(t) % self.period
        return rate_at(self.schedulers[0], at if at.ndim else int(at))

    def __as_call__(self) -> Call:
        return Call("repeat", self.schedulers, {"period": self.period})


def join(schedulers: Sequence[Scheduler], boundaries: Sequence[int]) -> Joined:
    """Run schedules in sequence: at `boundaries[i]` the i-th ends, and the next starts at its t = 0.

    Args:
        schedulers: The schedules, in order. One between equal boundaries, or before a boundary at 0, is not used.
        boundaries: Ascending epochs (or steps), one fewer than schedules.

    Raises:
        TypeError: If an item is not a schedule, or a boundary is not an integer.
        ValueError: If the boundaries are negative, do not ascend, or are not one fewer than the schedules.

    Examples:
        >>> from fnloop.schedulers import ConstantLR
        >>> join([ConstantLR(0.1), ConstantLR(0.01)], boundaries=[5])(5)
        0.01
    """
    joined = Joined(tuple(check_scheduler(f"schedulers[{i}]", part) for i, part in enumerate(schedulers)), tuple(boundaries))
    if len(joined.schedulers) != len(joined.boundaries) + 1:
        raise ValueError(f"boundaries must be one fewer than the {len(joined.schedulers)} schedulers, got {short(boundaries)}")
    return joined


@explain_calls()
def warmup(scheduler: Scheduler, length: int, *, start_factor: float = 0.0) -> Joined:
    """Increase the rate linearly from `start_factor` times the schedule's first rate to that rate, then start the schedule.

    Args:
        scheduler: The schedule, whose t = 0 is the end of the warm-up.
        length: Epochs (or steps) of the warm-up; 0 is none.
        start_factor: First rate of the warm-up relative to the schedule's first rate, in [0, 1]; unitless. At 0, the
            default, the first epoch (or step) does not change the parameters.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its interval, or the schedule starts at 0.

    Examples:
        >>> from fnloop.schedulers import ConstantLR
        >>> [warmup(ConstantLR(0.1), 2)(t) for t in range(4)]
        [0.0, 0.05, 0.1, 0.1]

    Source: Goyal et al. 2017, Accurate, large minibatch SGD, section 2.2.
    """
    length, first = integer(0)("length", length), check_scheduler("scheduler", scheduler).init().lr
    if first <= 0:
        raise ValueError(f"scheduler must start at a rate above 0 for a warm-up, got {short(first)} from {short(scheduler)}")
    rise = LinearLR(first, total_iters=length, start_factor=real("[0, 1]")("start_factor", start_factor))
    return join([rise, scheduler], [length])


@explain_calls()
def repeat(scheduler: Scheduler, period: int) -> Repeated:
    """Repeat the first `period` epochs (or steps) of a schedule, each time from its t = 0.

    Args:
        scheduler: The schedule.
        period: Epochs (or steps) after which it starts over, at least 1.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the period is below 1.

    Examples:
        >>> from fnloop.schedulers import ExponentialLR
        >>> [repeat(ExponentialLR(0.1, gamma=0.5), 2)(t) for t in range(4)]
        [0.1, 0.05, 0.1, 0.05]
    """
    return Repeated((check_scheduler("scheduler", scheduler),), period)
