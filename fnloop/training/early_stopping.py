"""When to stop, as a value in the state: a stopped state stays as it is."""

from collections.abc import Mapping
from dataclasses import KW_ONLY

from fnloop.core.arrays import Array
from fnloop.core.checks import Flag, MetricName, Mode, NonNegative, OptionalMode, PositiveInt
from fnloop.core.records import evolve, frozen
from fnloop.metrics import check_mode, improves, known_mode, look_up, worst


@frozen
class EarlyStoppingState:
    """The progress of early stopping on `metric`, which is None where nobody stops early.

    `best` is the best value so far and `best_epoch` its epoch (0: none yet), `wait` the epochs since then without improvement,
    `best_vector`, `best_buffers` and `best_metrics` the parameters, the model's buffers and all metrics of the best epoch if
    they are kept to be restored; `stopped_epoch` is the epoch after which the run stopped, or None.
    """

    metric: str | None
    mode: Mode | None
    best: float
    best_epoch: int = 0
    wait: int = 0
    best_vector: Array | None = None
    best_buffers: tuple[Array, ...] = ()
    best_metrics: Mapping[str, float] = {}
    stopped_epoch: int | None = None


HINTS = {"monitor": "it is metric here"}
NO_EARLY_STOPPING = EarlyStoppingState(None, None, float("nan"))


@frozen
class EarlyStopping:
    """Stop after `patience` epochs in a row in which the metric did not improve by more than `min_delta`.

    A smaller gain neither resets the wait nor moves the best, and NaN never improves. The state that stops is that of the last
    epoch, with its own parameters and metrics. With `restore_best` it also keeps those of the best epoch, and
    `fl.restored(state)` puts them in place; `fl.best` and `Fit.best` select the best state itself.

    Args:
        metric: A metric that the run produces, such as `"val_loss"`.
        mode: `"min"` if small values are better, `"max"` if large ones are; by default that of the metric.
        patience: Epochs, at least 1.
        min_delta: Absolute, at least 0; in the units of the metric.
        restore_best: Whether to keep the parameters of the best epoch.
    """

    metric: MetricName = "val_loss"
    _: KW_ONLY
    mode: OptionalMode = None
    patience: PositiveInt = 20
    min_delta: NonNegative = 1e-4
    restore_best: Flag = True

    argument_hints = HINTS

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "mode", self.mode or known_mode(self.metric))

    def init(self) -> EarlyStoppingState:
        """The state before anything is trained.

        Raises:
            ValueError: If `mode` is None and the metric does not say which direction is better.
        """
        mode = check_mode(self.mode, self.metric)
        return EarlyStoppingState(self.metric, mode, worst(mode))

    def step(
        self,
        state: EarlyStoppingState,
        metrics: Mapping[str, float],
        epoch: int,
        vector: Array | None = None,
        buffers: tuple[Array, ...] = (),
    ) -> EarlyStoppingState:
        """The state after an epoch with these metrics; a stopped state is returned as it is.

        Args:
            metrics: All metrics of the epoch.
            epoch: Epochs trained, this one included.
            vector: The parameters after it, (P,), kept if they are the best.
            buffers: The model's buffers after it, kept alike.

        Raises:
            ValueError: If the monitored metric is not among the metrics.
        """
        if state.stopped_epoch is not None:
            return state
        value = look_up(metrics, self.metric)
        if improves(value, state.best, check_mode(self.mode, self.metric), self.min_delta):
            kept = (vector, buffers, metrics) if self.restore_best else (None, (), {})
            return EarlyStoppingState(state.metric, state.mode, value, epoch, 0, *kept)
        wait = state.wait + 1
        return evolve(state, wait=wait, stopped_epoch=epoch if wait >= self.patience else None)
