"""The state of schedules that combine other schedules, and the rate of a part at any t."""

from collections.abc import Mapping
from typing import Any

from fnloop.core.arrays import Array
from fnloop.core.records import frozen
from fnloop.schedulers.scheduler import LearningRateState, Scheduler

Metrics = Mapping[str, float] | None


@frozen
class ComposedState:
    """The state of a schedule that combines others.

    Args:
        t: The 0-based epoch (or step) about to be trained.
        lr: Its learning rate.
        parts: The states of the combined schedules that are in use.
    """

    t: int
    lr: float
    parts: tuple[LearningRateState, ...]


def states_of_parts(state: Any, n: int) -> tuple[Any, ...]:
    """Return the states of n parts from the state of any schedule; a part without a state gets None.

    A state that is not composed is that of a single part: a plateau that becomes `clamp(plateau)` keeps its state.
    """
    parts = state.parts if isinstance(state, ComposedState) else (state,)
    return parts if len(parts) == n else (None,) * n


def rate_at(scheduler: Scheduler, t: int | Array) -> Any:
    """Return the learning rate of a schedule at t.

    Raises:
        TypeError: If the schedule has no closed form, such as a plateau.
    """
    if not callable(scheduler):
        raise TypeError(
            f"t: {type(scheduler).__name__} has no closed form, so its learning rate at t is unknown without the metrics"
        )
    return scheduler(t)
