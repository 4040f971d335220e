"""The product of schedules."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

from fnloop.core.arrays import Array
from fnloop.core.checks import real
from fnloop.core.formatting import Call
from fnloop.core.records import frozen
from fnloop.schedulers.composed import ComposedState, Metrics, rate_at, states_of_parts
from fnloop.schedulers.constant import ConstantLR
from fnloop.schedulers.migration import Comparable, Migrated, migrate
from fnloop.schedulers.scheduler import LearningRateState, Scheduler, check_scheduler


@frozen
class Product(Scheduler):
    """The product of schedules, as `times` returns it: lr(t) = product of lr_i(t)."""

    schedulers: tuple[Scheduler, ...]

    def init(self) -> ComposedState:
        """Return the state at t = 0."""
        return self._state(0, [part.init() for part in self.schedulers])

    def step(self, state: ComposedState, metrics: Metrics = None) -> ComposedState:
        """Return the state at t + 1; every part gets the metrics."""
        parts = [part.step(before, metrics) for part, before in zip(self.schedulers, state.parts, strict=True)]
        return self._state(state.t + 1, parts)

    def migrate(self, state: Any, t: int, comparable: Comparable) -> Migrated:
        """Return the state at t after another schedule, part by part."""
        states = states_of_parts(state, len(self.schedulers))
        parts = [migrate(part, before, t, comparable) for part, before in zip(self.schedulers, states, strict=True)]
        return Migrated(self._state(t, [part.state for part in parts]), all(part.complete for part in parts))

    def _state(self, t: int, parts: Sequence[LearningRateState]) -> ComposedState:
        return ComposedState(t, math.prod(part.lr for part in parts), tuple(parts))

    def __call__(self, t: int | Array) -> Any:
        """Return the learning rate at t, if every part has a closed form."""
        return math.prod(rate_at(part, t) for part in self.schedulers)

    def __as_call__(self) -> Call:
        return Call("times", self.schedulers, {})


def times(*schedulers: Scheduler | float) -> Product:
    """Multiply schedules, or schedules and numbers: lr(t) = product of lr_i(t).

    Args:
        schedulers: At least one schedule, or number above 0. With a plateau that starts at 1, another schedule is lowered when
            a metric no longer improves.

    Raises:
        TypeError: If an argument is neither a schedule nor a number.
        ValueError: If there is no argument, or a number is not above 0.

    Examples:
        >>> from fnloop.schedulers import CosineAnnealingLR, ReduceLROnPlateau
        >>> times(ReduceLROnPlateau(1.0, "val_loss"), CosineAnnealingLR(0.1, T_max=50)).init().lr
        0.1
    """
    if not schedulers:
        raise ValueError("schedulers must be at least one, got none")
    return Product(tuple(_as_scheduler(part) for part in schedulers))


def _as_scheduler(part: Any) -> Scheduler:
    if isinstance(part, Real):
        return ConstantLR(real("(0, inf)")("schedulers", part))
    scheduler: Scheduler = check_scheduler("schedulers", part)
    return scheduler
