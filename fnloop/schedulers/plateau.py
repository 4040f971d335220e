"""Lower the learning rate when a metric no longer improves."""

from collections.abc import Mapping
from dataclasses import KW_ONLY

from fnloop.metrics import improves, look_up, worst
from fnloop.record import record
from fnloop.short import short
from fnloop.typing import Count, Factor, MetricName, ModeName, NonNegative, Positive, PositiveInt


@record
class PlateauState:
    """Where a plateau schedule stands.

    `best` is the best value so far, `wait` the number of epochs in a row without improvement on it, `reductions` how often
    the learning rate was lowered, `cooldown` the number of coming epochs that do not count as waiting.
    """

    t: int
    lr: float
    best: float
    wait: int
    reductions: int
    cooldown: int = 0


@record
class ReduceLROnPlateau:
    """Multiply the learning rate by `factor`, never below `min_lr`, after `patience` epochs running without improvement.

    A value improves on the best so far if it is better by more than `min_delta` (absolute); NaN never does. After a reduction
    the wait starts again from 0, and the next `cooldown` epochs do not count as waiting. At `min_lr` nothing is lowered, and
    no reduction is counted.

    Args:
        metric: a metric that the run produces.
        patience: epochs, at least 1.
        factor: in (0, 1]; unitless.
        cooldown: epochs after a reduction, at least 0. An improvement among them still counts.
    """

    initial_lr: Positive
    metric: MetricName = "val_loss"
    _: KW_ONLY
    mode: ModeName = "min"
    factor: Factor = 0.5
    patience: PositiveInt = 10
    min_delta: NonNegative = 1e-4
    min_lr: NonNegative = 1e-8
    cooldown: Count = 0

    def __attrs_post_init__(self) -> None:
        if self.min_lr > self.initial_lr:
            raise ValueError(f"min_lr must be at most initial_lr={short(self.initial_lr)}, got {short(self.min_lr)}")

    def init(self) -> PlateauState:
        """The state before anything is trained."""
        return PlateauState(0, self.initial_lr, worst(self.mode), 0, 0)

    def step(self, state: PlateauState, metrics: Mapping[str, float] | None = None) -> PlateauState:
        """The state after an epoch with these metrics.

        Raises: ValueError: if the monitored metric is not among them.
        """
        value, cooling = look_up(metrics or {}, self.metric), max(state.cooldown - 1, 0)
        if improves(value, state.best, self.mode, self.min_delta):
            return PlateauState(state.t + 1, state.lr, value, 0, state.reductions, cooling)
        wait = 0 if state.cooldown else state.wait + 1
        if wait < self.patience:
            return PlateauState(state.t + 1, state.lr, state.best, wait, state.reductions, cooling)
        lr = max(state.lr * self.factor, self.min_lr)
        lowered = lr < state.lr
        return PlateauState(state.t + 1, lr, state.best, 0, state.reductions + lowered, self.cooldown if lowered else 0)
