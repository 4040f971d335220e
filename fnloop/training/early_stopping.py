"""Early stopping as a policy whose progress is a value in the state."""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY

from fnloop.core.arrays import Array
from fnloop.core.checks import Flag, MetricName, Mode, NonNegative, OptionalMode, PositiveInt
from fnloop.core.records import evolve, frozen
from fnloop.metrics import check_mode, improves, known_mode, look_up, worst


@frozen
class EarlyStoppingState:
    """The progress of early stopping.

    Args:
        metric: The monitored metric; None without early stopping.
        mode: Whether small or large values of it are better; None without early stopping.
        best: The best value so far.
        best_epoch: Its epoch, from 1; 0 before the first improvement.
        wait: Epochs without improvement since then.
        best_vector: The parameters of the best epoch, (P,), if they are kept to be restored; else None.
        best_buffers: The model's buffers of the best epoch, if they are kept.
        best_metrics: All metrics of the best epoch, if they are kept.
        stopped_epoch: The epoch after which the run stopped; None while it continues.
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


ARGUMENT_HINTS = {"monitor": "it is metric here"}
NO_EARLY_STOPPING = EarlyStoppingState(metric=None, mode=None, best=float("nan"))


@frozen
class EarlyStopping:
    """Stop after `patience` epochs in a row in which the metric did not improve by more than `min_delta`.

    A smaller improvement neither resets the wait nor counts as the best value, and NaN never improves. The final state is that
    of the last epoch. With `restore_best` it also keeps the parameters, buffers and metrics of the best epoch, which
    `fl.restored(state)` applies; `fl.best` and `Fit.best` select the best state itself.

    Args:
        metric: A metric that the run produces. Default: `"val_loss"`.
        mode: `"min"` if small values are better, `"max"` if large ones are. By default the metric's own.
        patience: Epochs without improvement before the stop, at least 1. Default: 20.
        min_delta: Smallest improvement that counts, absolute, in the units of the metric; at least 0. Default: 1e-4.
        restore_best: Whether to keep the parameters of the best epoch. Default: True.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its interval.

    Examples:
        >>> policy = EarlyStopping("loss", patience=1)
        >>> state = policy.step(policy.init(), {"loss": 0.5}, epoch=1)
        >>> policy.step(state, {"loss": 0.6}, epoch=2).stopped_epoch
        2

    See Also:
        `fnloop.restored`, `fnloop.what_if`
    """

    metric: MetricName = "val_loss"
    _: KW_ONLY
    mode: OptionalMode = None
    patience: PositiveInt = 20
    min_delta: NonNegative = 1e-4
    restore_best: Flag = True

    argument_hints = ARGUMENT_HINTS

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "mode", self.mode or known_mode(self.metric))

    def init(self) -> EarlyStoppingState:
        """Return the state before anything is trained.

        Raises:
            ValueError: If `mode` is None and the direction of the metric is unknown.
        """
        mode = check_mode(self.mode, self.metric)
        return EarlyStoppingState(metric=self.metric, mode=mode, best=worst(mode))

    def step(
        self,
        state: EarlyStoppingState,
        metrics: Mapping[str, float],
        epoch: int,
        vector: Array | None = None,
        buffers: tuple[Array, ...] = (),
    ) -> EarlyStoppingState:
        """Return the state after an epoch; a stopped state is returned unchanged.

        Args:
            state: The state before the epoch.
            metrics: All metrics of the epoch.
            epoch: The number of the epoch, from 1.
            vector: The parameters after the epoch, (P,), kept if they are the best.
            buffers: The model's buffers after the epoch, kept with the parameters.

        Raises:
            ValueError: If the monitored metric is missing.
        """
        if state.stopped_epoch is not None:
            return state
        value = look_up(metrics, self.metric)
        if improves(value, state.best, check_mode(self.mode, self.metric), self.min_delta):
            best = EarlyStoppingState(metric=state.metric, mode=state.mode, best=value, best_epoch=epoch)
            if not self.restore_best:
                return best
            return evolve(best, best_vector=vector, best_buffers=buffers, best_metrics=metrics)
        wait = state.wait + 1
        return evolve(state, wait=wait, stopped_epoch=epoch if wait >= self.patience else None)

    def fold(self, values: Iterable[float], first_epoch: int = 1) -> EarlyStoppingState:
        """Return the state after epochs with these values of the metric: that of `step` for each, up to the stop.

        Args:
            values: The value of the metric in each epoch.
            first_epoch: The number of the first of these epochs. Default: 1.

        Examples:
            >>> EarlyStopping("loss", patience=2).fold([0.5, 0.4, 0.6, 0.7, 0.3]).stopped_epoch
            4
        """
        mode = check_mode(self.mode, self.metric)
        best, best_epoch, wait, stopped_epoch = worst(mode), 0, 0, None
        for epoch, value in enumerate(values, start=first_epoch):
            if improves(value, best, mode, self.min_delta):
                best, best_epoch, wait = value, epoch, 0
                continue
            wait += 1
            if wait >= self.patience:
                stopped_epoch = epoch
                break
        kept = {self.metric: best} if self.restore_best and best_epoch else {}
        return EarlyStoppingState(self.metric, mode, best, best_epoch, wait, best_metrics=kept, stopped_epoch=stopped_epoch)
