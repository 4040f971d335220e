"""Lower the learning rate when a metric no longer improves."""

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import Any

from fnloop.core.checks import Count, Factor, MetricName, Mode, NonNegative, OptionalMode, Positive, PositiveInt
from fnloop.core.formatting import short
from fnloop.core.records import evolve, frozen
from fnloop.metrics import check_mode, improves, known_mode, look_up, worst
from fnloop.schedulers.migration import Comparable, Migrated
from fnloop.schedulers.scheduler import Scheduler


@frozen
class PlateauState:
    """The state of a plateau schedule.

    Args:
        metric: The monitored metric.
        mode: Whether small or large values of it are better.
        t: The 0-based epoch about to be trained.
        lr: Its learning rate.
        best: The best value so far.
        wait: Epochs in a row without an improvement on it.
        reductions: How often the learning rate was lowered.
        cooldown: Coming epochs that do not count as waiting.
    """

    metric: str
    mode: Mode
    t: int
    lr: float
    best: float
    wait: int
    reductions: int
    cooldown: int = 0


@frozen
class ReduceLROnPlateau(Scheduler):
    """Multiply the learning rate by `factor` after `patience` epochs in a row without improvement.

    A value improves on the best so far if it is better by more than `min_delta`; NaN never does. A reduction resets the wait
    to 0, and the next `cooldown` epochs do not count as waiting. At `min_lr` the rate stays, and no reduction is counted.

    Args:
        initial_lr: The first learning rate, above 0.
        metric: A metric that the run produces. Default: `"val_loss"`.
        mode: `"min"` if small values are better, `"max"` if large ones are. By default the metric's own.
        factor: Factor of a reduction, in (0, 1]; unitless. Default: 0.5.
        patience: Epochs without improvement before a reduction, at least 1. Default: 10.
        min_delta: Smallest improvement that counts, absolute, in the units of the metric. Default: 1e-4.
        min_lr: Smallest learning rate, in [0, initial_lr]. Default: 1e-8.
        cooldown: Epochs after a reduction that do not count as waiting, at least 0. An improvement among them still counts.
            Default: 0.

    Raises:
        ValueError: If a parameter is outside its interval, or `min_lr` is above `initial_lr`.
    """

    initial_lr: Positive
    metric: MetricName = "val_loss"
    _: KW_ONLY
    mode: OptionalMode = None
    factor: Factor = 0.5
    patience: PositiveInt = 10
    min_delta: NonNegative = 1e-4
    min_lr: NonNegative = 1e-8
    cooldown: Count = 0

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "mode", self.mode or known_mode(self.metric))
        if self.min_lr > self.initial_lr:
            raise ValueError(f"min_lr must be at most initial_lr={short(self.initial_lr)}, got {short(self.min_lr)}")

    def init(self) -> PlateauState:
        """Return the state before anything is trained.

        Raises:
            ValueError: If `mode` is None and the direction of the metric is unknown.
        """
        mode = check_mode(self.mode, self.metric)
        return PlateauState(self.metric, mode, t=0, lr=self.initial_lr, best=worst(mode), wait=0, reductions=0)

    def step(self, state: PlateauState, metrics: Mapping[str, float] | None = None) -> PlateauState:
        """Return the state after an epoch with these metrics.

        Raises:
            ValueError: If the monitored metric is missing.
        """
        value, t, cooldown = look_up(metrics or {}, self.metric), state.t + 1, max(state.cooldown - 1, 0)
        if improves(value, state.best, check_mode(self.mode, self.metric), self.min_delta):
            return evolve(state, t=t, best=value, wait=0, cooldown=cooldown)
        wait = 0 if state.cooldown else state.wait + 1
        if wait < self.patience:
            return evolve(state, t=t, wait=wait, cooldown=cooldown)
        lr = self._reduce(state.lr)
        reduced = lr < state.lr
        cooldown = self.cooldown if reduced else 0
        return evolve(state, t=t, lr=lr, wait=0, reductions=state.reductions + reduced, cooldown=cooldown)

    def _reduce(self, lr: float) -> float:
        return max(lr * self.factor, self.min_lr)

    def migrate(self, state: Any, t: int, comparable: Comparable) -> Migrated:
        """Return the state at t after another schedule.

        The reductions of another plateau are kept; its best value and wait only if the values of the metric are comparable.

        Args:
            state: The state of the schedule that it replaces, or None.
            t: The 0-based epoch (or step) about to be trained.
            comparable: Takes the name of a metric and returns whether its earlier values can be compared with later ones.
        """
        fresh = evolve(self.init(), t=t)
        if not isinstance(state, PlateauState):
            return Migrated(fresh, t == 0)
        lr = self.initial_lr
        for _ in range(state.reductions):
            lr = self._reduce(lr)
        same = (state.metric, state.mode) == (fresh.metric, fresh.mode) and comparable(self.metric)
        return Migrated(evolve(state if same else fresh, t=t, lr=lr, reductions=state.reductions), same)
