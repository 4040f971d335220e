"""The data of a run that a figure shows, read from a `Fit`, a `Run` or a history."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fnloop.core.checks import Mode
from fnloop.core.errors import RunError
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen
from fnloop.metrics import METRICS
from fnloop.runs.run import Run
from fnloop.training.loss_scale import loss_scale
from fnloop.training.state import StopReason

History = Mapping[str, Sequence[float]]
NOT_METRICS = {"lr", "seconds"}  # names in a history that are not metrics


class RecordedRun(Protocol):
    """A `Fit` or a `Run`."""

    @property
    def history(self) -> History:
        """Metric names to values, one for each epoch."""

    @property
    def stop_reason(self) -> str | None:
        """Why the run ended."""


@frozen
class RunData:
    """The data of a run that a figure shows.

    Args:
        history: Metric names, `lr` and `seconds` to their values, one for each epoch.
        first_epoch: The epoch of the first values.
        monitor: Name of the metric that selects the best epoch.
        mode: Whether the smallest (`"min"`) or largest (`"max"`) value of that metric is best.
        best_epoch: The best epoch, or None.
        best_value: The value of the metric in the best epoch, or NaN.
        stop_reason: Why the run stopped before its last epoch; None if it did not.
        loss_scale: What a gap between two losses is compared with; NaN if unknown.
    """

    history: History
    first_epoch: int
    monitor: str
    mode: Mode
    best_epoch: int | None
    best_value: float
    stop_reason: str | None
    loss_scale: float

    @property
    def epochs(self) -> range:
        """The epochs that have values."""
        return range(self.first_epoch, self.first_epoch + len(self.history["loss"]))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics without `val_`, each once, the loss first."""
        names = dict.fromkeys(name.removeprefix("val_") for name in self.history if name not in NOT_METRICS)
        return "loss", *(name for name in names if name != "loss")


def read_run(run: RecordedRun | History, name: str = "run") -> RunData:
    """Return the data of a run.

    Args:
        run: A `Fit`, a `Run`, or a history: metric names to values, one for each epoch.
        name: Name of the argument, for messages.

    Raises:
        TypeError: If `run` is none of these.
        ValueError: If no epoch was finished, there is no loss, or the lists have different lengths.

    Examples:
        >>> read_run({"loss": [0.5, 0.25, 0.3]}).best_epoch
        2
    """
    if isinstance(run, Mapping):
        return _from_history(run, name)
    history = getattr(run, "history", None)
    if not isinstance(history, Mapping):
        raise TypeError(f"{name} must be a Fit, a Run or a history, got {short(run)}")
    source: Any = run
    is_file = isinstance(run, Run)
    if not history.get("loss"):
        reason = source.stop_reason if is_file or source.last.stopped is None else source.last.stopped
        raise ValueError(f"{name} must have at least one finished epoch, got none; it ended: {reason}")
    data = _from_history(history, name)
    return _from_run(data, source) if is_file else _from_fit(data, source)


def _from_history(history: History, name: str) -> RunData:
    if not history.get("loss"):
        raise ValueError(f"{name} must have 'loss' with one value for each epoch, got {listed(history)}")
    lengths = {metric: len(values) for metric, values in history.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{name} must have lists of equal length, got {short(lengths)}")
    monitor = "val_loss" if "val_loss" in history else "loss"
    best_epoch, best_value = _best_of(history[monitor], "min")
    metrics = (METRICS.get(metric.removeprefix("val_")) for metric in history)
    is_classification = any(metric is not None and metric.task == "classification" for metric in metrics)
    return RunData(
        history=history,
        first_epoch=1,
        monitor=monitor,
        mode="min",
        best_epoch=best_epoch,
        best_value=best_value,
        stop_reason=None,
        loss_scale=1.0 if is_classification else math.nan,
    )


def _from_fit(data: RunData, fit: Any) -> RunData:
    best = fit.best_state
    return RunData(
        history=data.history,
        first_epoch=fit.last.epoch - len(data.history["loss"]) + 1,
        monitor=fit.monitor,
        mode=fit.trainer.mode_of(fit.monitor),
        best_epoch=None if best is None else best.epoch,
        best_value=math.nan if best is None else best.metrics[fit.monitor],
        stop_reason=None if fit.stop_reason == StopReason.FINISHED else fit.stop_reason,
        loss_scale=fit.loss_scale,
    )


def _from_run(data: RunData, run: Run) -> RunData:
    first_epoch = next(row.epoch for row in run.rows if row.metrics)
    monitor, mode = run.monitor or (data.monitor, data.mode)
    best_epoch, best_value = _best_of(data.history[monitor], mode)
    try:
        trainer, train = run.trainer, run.train
    except RunError:  # the file does not have the trainer or the data
        trainer = train = None
    scale = data.loss_scale if trainer is None or train is None else loss_scale(trainer, train)
    return RunData(
        history=data.history,
        first_epoch=first_epoch,
        monitor=monitor,
        mode=mode,
        best_epoch=None if best_epoch is None else best_epoch + first_epoch - 1,
        best_value=best_value,
        stop_reason=run.stop_reason,
        loss_scale=scale,
    )


def _best_of(values: Sequence[float], mode: Mode) -> tuple[int | None, float]:
    """The epoch of the best value, counted from 1, and the value: the earliest of equals; None and NaN if all are NaN."""
    sign = 1 if mode == "min" else -1
    valid = [(sign * value, epoch) for epoch, value in enumerate(values, start=1) if not math.isnan(value)]
    epoch = min(valid)[1] if valid else None
    return epoch, math.nan if epoch is None else values[epoch - 1]
