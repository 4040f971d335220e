"""Lower the learning rate when a metric no longer improves."""

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import Any

from fnloop.core.checks import Count, Factor, MetricName, Mode, NonNegative, OptionalMode, Positive, PositiveInt
from fnloop.core.formatting import short
from fnloop.core.records import evolve, frozen
from fnloop.metrics import check_mode, improves, known_mode, look_up, worst
from fnloop.schedulers.closed_form import Comparable


@frozen
class PlateauState:
    """The progress of a plateau schedule on `metric`.

    `best` is the best value so far, `wait` the number of epochs in a row without improvement on it, `reductions` how often
    the learning rate was lowered, `cooldown` the number of coming epochs that do not count as waiting.
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
class ReduceLROnPlateau:
    """Multiply the learning rate by `factor`, never below `min_lr`, after `patience` epochs running without improvement.

    A value improves on the best so far if it is better by more than `min_delta` (absolute); NaN never does. After a reduction
    the wait starts again from 0, and the next `cooldown` epochs do not count as waiting. At `min_lr` nothing is lowered, and
    no reduction is counted.

    Args:
        metric: a metric that the run produces.
        mode: `"min"` if small values are better, `"max"` if large ones are; by default that of the metric.
        patience: epochs, at least 1.
        factor: in (0, 1]; unitless.
        cooldown: epochs after a reduction, at least 0. An improvement among them still counts.
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
        """The state before anything is trained.

        Raises:
            ValueError: If `mode` is None and the metric does not say which direction is better.
        """
        mode = check_mode(self.mode, self.metric)
        return PlateauState(self.metric, mode, 0, self.initial_lr, worst(mode), 0, 0)

    def step(self, state: PlateauState, metrics: Mapping[str, float] | None = None) -> PlateauState:
        """The state after an epoch with these metrics.

        Raises:
            ValueError: If the monitored metric is not among them.
        """
        value, t, cooling = look_up(metrics or {}, self.metric), state.t + 1, max(state.cooldown - 1, 0)
        if improves(value, state.best, check_mode(self.mode, self.metric), self.min_delta):
            return evolve(state, t=t, best=value, wait=0, cooldown=cooling)
        wait = 0 if state.cooldown else state.wait + 1
        if wait < self.patience:
            return evolve(state, t=t, wait=wait, cooldown=cooling)
        lr = self._lowered(state.lr)
        lowered = lr < state.lr
        cooling = self.cooldown if lowered else 0
        return evolve(state, t=t, lr=lr, wait=0, reductions=state.reductions + lowered, cooldown=cooling)

    def _lowered(self, lr: float) -> float:
        return max(lr * self.factor, self.min_lr)

    def migrate(self, state: Any, t: int, comparable: Comparable) -> tuple[PlateauState, bool]:
        """This schedule's state at t after another schedule's: see `fnloop.schedulers.migrate`.

        Another plateau's reductions are kept; its best value and wait only if the values of the metric can be compared.
        """
        fresh = evolve(self.init(), t=t)
        if not isinstance(state, PlateauState):
            return fresh, t == 0
        lr = self.initial_lr
        for _ in range(state.reductions):
            lr = self._lowered(lr)
        same = (state.metric, state.mode) == (fresh.metric, fresh.mode) and comparable(self.metric)
        return evolve(state if same else fresh, t=t, lr=lr, reductions=state.reductions), same
