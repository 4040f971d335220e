"""The state of a schedule that replaces another one in the middle of a run."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from fnloop.schedulers.scheduler import LearningRateState, Scheduler, SchedulerState

Comparable = Callable[[str], bool]  # whether earlier values of a metric can be compared with later ones


class Migrated(NamedTuple):
    """The state of the new schedule, and whether it kept everything that the schedule remembers."""

    state: Any
    complete: bool


@runtime_checkable
class MigratesState(Protocol):
    """A schedule that can continue from the state of another schedule."""

    def migrate(self, state: Any, t: int, comparable: Comparable) -> Migrated:
        """Return this schedule's state at `t`, and whether it keeps everything that the schedule remembers.

        Args:
            state: The state of the schedule that it replaces, or None.
            t: The 0-based epoch (or step) about to be trained.
            comparable: Takes the name of a metric and returns whether its earlier values can be compared with later ones.
        """


def migrate(scheduler: Scheduler, state: LearningRateState | None, t: int, comparable: Comparable | None = None) -> Migrated:
    """Return the state of a schedule at `t` that replaces the schedule of `state`.

    A closed form depends on `t` alone. A schedule that remembers, such as a plateau, keeps what has the same meaning for it,
    by its method `migrate`. Without it, a state of the same class is kept, and after any other the schedule starts over.

    Args:
        scheduler: The new schedule.
        state: The state of the old schedule, or None.
        t: The 0-based epoch (or step) about to be trained.
        comparable: Takes the name of a metric and returns whether its earlier values can be compared with later ones. By
            default all can.

    Examples:
        >>> from fnloop.schedulers import ConstantLR, StepLR
        >>> migrate(StepLR(0.1, step_size=2, gamma=0.5), ConstantLR(0.3).init(), 2)
        Migrated(state=SchedulerState(t=2, lr=0.05), complete=True)
    """
    if isinstance(scheduler, MigratesState):
        return Migrated(*scheduler.migrate(state, t, comparable or (lambda metric: True)))
    fresh = scheduler.init()
    if isinstance(fresh, SchedulerState) and callable(scheduler):
        return Migrated(SchedulerState(t, scheduler(t)), True)
    return Migrated(state, True) if type(state) is type(fresh) else Migrated(fresh, t == 0)
