"""The contract of a schedule: two methods, and what a schedule may have besides."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from fnloop.core.checks import Check, instance_of
from fnloop.core.records import frozen


class LearningRateState(Protocol):
    """The state of any schedule: a frozen record with the learning rate `lr` of the next epoch (or step)."""

    @property
    def lr(self) -> float:
        """The learning rate of the next epoch (or step), at least 0."""


@frozen
class SchedulerState:
    """The state of a closed form.

    Args:
        t: The 0-based epoch (or step) about to be trained.
        lr: Its learning rate.
    """

    t: int
    lr: float


@runtime_checkable
class Scheduler(Protocol):
    """A schedule of the learning rate: a frozen record with `init` and `step`.

    A trainer calls `step` after each epoch with the epoch's metrics, or, with `schedule_every="step"`, after each update
    without metrics. A custom schedule whose rate is a formula of `t` is a subclass of `ClosedForm` and defines `formula`. One
    that depends on metrics keeps what it needs in a state.

    Examples:
        >>> import fnloop as fl
        >>> @fl.frozen
        ... class Best:
        ...     lr: float
        ...     loss: float
        >>> @fl.frozen
        ... class HalveOnRise(fl.schedulers.Scheduler):
        ...     metric: str = "loss"
        ...
        ...     def init(self):
        ...         return Best(0.1, float("inf"))
        ...
        ...     def step(self, state, metrics=None):
        ...         loss = metrics[self.metric]
        ...         return Best(state.lr / 2 if loss > state.loss else state.lr, min(loss, state.loss))
        >>> HalveOnRise().step(Best(0.1, 0.5), {"loss": 0.6})
        Best(lr=0.05, loss=0.5)

    See Also:
        `ClosedForm`, `MonitorsMetric`, `CombinesSchedulers`, `MigratesState`, `fnloop.testing.check_scheduler`
    """

    @abstractmethod
    def init(self) -> LearningRateState:
        """Return the state before anything is trained."""
        raise NotImplementedError

    @abstractmethod
    def step(self, state: Any, metrics: Mapping[str, float] | None = None) -> LearningRateState:
        """Return the state after one more epoch with these metrics, or after one more step without metrics.

        Args:
            state: The state.
            metrics: The metrics of the epoch, by name; None (the default) for a step.
        """
        raise NotImplementedError


@runtime_checkable
class MonitorsMetric(Protocol):
    """A schedule or another policy that reads one metric of each epoch, such as a plateau or early stopping."""

    @property
    def metric(self) -> str:
        """The name of the metric."""


@runtime_checkable
class CombinesSchedulers(Protocol):
    """A schedule that combines others."""

    @property
    def schedulers(self) -> tuple[Scheduler, ...]:
        """The combined schedules."""


check_scheduler: Check = instance_of(Scheduler, "a schedule, such as fl.schedulers.ConstantLR(1e-3)")


def walk_schedulers(scheduler: Any) -> Iterator[Any]:
    """Yield a schedule, and all schedules that it combines."""
    yield scheduler
    if isinstance(scheduler, CombinesSchedulers):
        for part in scheduler.schedulers:
            yield from walk_schedulers(part)


def monitored_metrics(scheduler: Any) -> set[str]:
    """Return the names of the metrics that a schedule and its parts read.

    Examples:
        >>> from fnloop.schedulers import ConstantLR, ReduceLROnPlateau, times
        >>> monitored_metrics(times(ConstantLR(0.1), ReduceLROnPlateau(1.0, metric="val_loss")))
        {'val_loss'}
    """
    return {part.metric for part in walk_schedulers(scheduler) if isinstance(part, MonitorsMetric)}
