"""The state of a schedule that takes over from another, in the middle of a run."""

from typing import Any

from fnloop.schedulers.closed_form import Comparable, SchedulerState


def migrate(scheduler: Any, state: Any, t: int, comparable: Comparable | None = None) -> tuple[Any, bool]:
    """The state of a schedule at t that takes over from the schedule of `state`, and whether it takes over all that it knows.

    A schedule in closed form needs to know t alone. One that remembers, such as a plateau, keeps what means the same to it. A
    schedule can say what that is by a method `migrate(state, t, comparable)`. Without it, a state of the same class is kept.

    Args:
        scheduler: The new schedule.
        state: The state of the old one, or None.
        t: The 0-based epoch or update about to be trained.
        comparable: A function of a metric's name: whether its values from before can be compared with those to come;
            None: they can.

    Examples:
        >>> from fnloop.schedulers import ConstantLR, StepLR
        >>> migrate(StepLR(0.1, step_size=2, gamma=0.5), ConstantLR(0.3).init(), 2)
        (SchedulerState(t=2, lr=0.05), True)
    """
    if hasattr(scheduler, "migrate"):
        migrated: tuple[Any, bool] = scheduler.migrate(state, t, comparable or (lambda metric: True))
        return migrated
    fresh = scheduler.init()
    if type(fresh) is SchedulerState and callable(scheduler):
        return SchedulerState(t, scheduler(t)), True
    return (state, True) if type(state) is type(fresh) else (fresh, t == 0)
