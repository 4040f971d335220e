"""When to stop, as a value in the state: a stopped state stays as it is."""

from collections.abc import Mapping
from dataclasses import KW_ONLY
from enum import StrEnum

from fnloop.metrics import improves, look_up, worst
from fnloop.record import record
from fnloop.typing import Array, Flag, MetricName, ModeName, NonNegative, PositiveInt


class StopReason(StrEnum):
    """Why a run ended."""

    FINISHED = "finished"
    NO_IMPROVEMENT = "no improvement"
    NON_FINITE = "non-finite"
    THRESHOLD = "threshold reached"
    TIME = "time budget"
    INTERRUPTED = "interrupted"


@record
class EarlyStoppingState:
    """Where early stopping stands.

    `best` is the best value so far and `best_epoch` the number of epochs after which it was had (0: none yet), `wait` the
    epochs running without improvement, `best_vector` and `best_buffers` the parameters and the model's buffers of the best
    epoch if they are to be restored; `reason` and `stopped_epoch` are set when the run stops.
    """

    best: float
    best_epoch: int = 0
    wait: int = 0
    best_vector: Array | None = None
    best_buffers: tuple[Array, ...] = ()
    reason: str | None = None
    stopped_epoch: int | None = None


HINTS = {"monitor": "it is metric here"}


@record
class EarlyStopping:
    """Stop after `patience` epochs running in which the metric did not improve by more than `min_delta`; NaN never improves.

    A smaller gain neither resets the wait nor moves the best. With `restore_best` the stopped state holds the parameters of
    the best epoch; its metrics are still those of the epoch it stopped at.

    Args:
        metric: a metric that the run produces.
        patience: epochs, at least 1.
        min_delta: absolute, at least 0; in the units of the metric.
    """

    metric: MetricName = "val_loss"
    _: KW_ONLY
    mode: ModeName = "min"
    patience: PositiveInt = 20
    min_delta: NonNegative = 1e-4
    restore_best: Flag = True

    hints = HINTS

    def init(self) -> EarlyStoppingState:
        """The state before anything is trained."""
        return EarlyStoppingState(worst(self.mode))

    def step(
        self,
        state: EarlyStoppingState,
        metrics: Mapping[str, float],
        epoch: int,
        vector: Array | None = None,
        buffers: tuple[Array, ...] = (),
    ) -> EarlyStoppingState:
        """The state after that many epochs, the last with these metrics; a stopped state is returned as it is.

        Args:
            epoch: epochs trained, the one of these metrics included.
            vector: the parameters after it, (P,), and the model's buffers, kept if they are the best.
        Raises: ValueError: if the monitored metric is not among the metrics.
        """
        if state.reason is not None:
            return state
        value = look_up(metrics, self.metric)
        if improves(value, state.best, self.mode, self.min_delta):
            return EarlyStoppingState(value, epoch, 0, *((vector, buffers) if self.restore_best else (None, ())))
        wait = state.wait + 1
        stop = (StopReason.NO_IMPROVEMENT.value, epoch) if wait >= self.patience else (None, None)
        return EarlyStoppingState(state.best, state.best_epoch, wait, state.best_vector, state.best_buffers, *stop)
