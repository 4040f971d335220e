"""What a picture tells of a run: its values by epoch, its best epoch, how it ended, and how large its loss is."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fnloop.core.checks import Mode
from fnloop.core.errors import RunError
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen
from fnloop.metrics import METRICS
from fnloop.training.loss_scale import loss_scale
from fnloop.training.state import StopReason

History = Mapping[str, Sequence[float]]
OTHER = {"lr", "seconds"}  # what a history has beside metrics


@frozen
class RunData:
    """A run as it is drawn.

    `first` is the epoch of the first values. `best` is the best epoch by the metric `monitor`, whose `mode` says which values
    are better, and `value` its value there, or None and NaN. `ended` says why the run stopped by itself, else it is None.
    `scale` is what a gap of the loss is compared with, NaN where it is not known.
    """

    history: History
    first: int
    monitor: str
    mode: Mode
    best: int | None
    value: float
    ended: str | None
    scale: float

    @property
    def epochs(self) -> range:
        """The epochs that have values."""
        return range(self.first, self.first + len(self.history["loss"]))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics, each once, whether of training or of validation; the loss first."""
        names = dict.fromkeys(name.removeprefix("val_") for name in self.history if name not in OTHER)
        return "loss", *(name for name in names if name != "loss")


def read_run(run: Any, name: str = "run") -> RunData:
    """What is known of a `Fit`, of a `Run`, or of a history alone.

    Raises:
        TypeError: If it is none of them.
        ValueError: If it has no loss, or lists that are not of one length.
    """
    if isinstance(run, Mapping):
        return _of_history(run, name)
    history = getattr(run, "history", None)
    if not isinstance(history, Mapping):
        raise TypeError(f"{name} must be a Fit, a Run or a history, got {short(run)}")
    if not history.get("loss"):
        ended = run.stop_reason if hasattr(run, "rows") or run.last.stopped is None else run.last.stopped
        raise ValueError(f"{name} must have finished an epoch, and has not; it ended: {ended}")
    known = _of_history(history, name)
    return _of_run(known, run) if hasattr(run, "rows") else _of_fit(known, run)


def _of_history(history: History, name: str) -> RunData:
    if not history.get("loss"):
        raise ValueError(f"{name} must hold 'loss' with a value an epoch, got {listed(history)}")
    lengths = {metric: len(values) for metric, values in history.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{name} must have lists of one length, got {short(lengths)}")
    monitor = "val_loss" if "val_loss" in history else "loss"
    of_classes = any(getattr(METRICS.get(metric.removeprefix("val_")), "task", "") == "classification" for metric in history)
    return RunData(history, 1, monitor, "min", *best_of(history[monitor], "min"), None, 1.0 if of_classes else math.nan)


def _of_fit(known: RunData, fit: Any) -> RunData:
    first = fit.last.epoch - len(known.history["loss"]) + 1
    best, value = (None, math.nan) if fit.found is None else (fit.found.epoch, fit.found.metrics[fit.monitor])
    ended = None if fit.stop_reason == StopReason.FINISHED else fit.stop_reason
    mode = fit.trainer.mode_of(fit.monitor)
    return RunData(known.history, first, fit.monitor, mode, best, value, ended, fit.scale)


def _of_run(known: RunData, run: Any) -> RunData:
    first = next(row.epoch for row in run.rows if row.metrics)
    monitor, mode = run.monitor or (known.monitor, known.mode)
    best, value = best_of(known.history[monitor], mode)
    best = None if best is None else best + first - 1
    try:
        scale = loss_scale(run.trainer, run.train)
    except RunError:  # the file does not hold them
        scale = known.scale
    return RunData(known.history, first, monitor, mode, best, value, run.stop_reason, scale)


def best_of(values: Sequence[float], mode: Mode) -> tuple[int | None, float]:
    """The epoch with the best value, the first of equals, counted from 1, and that value; NaN is never best."""
    sign = 1 if mode == "min" else -1
    known = [(sign * value, epoch) for epoch, value in enumerate(values, start=1) if not math.isnan(value)]
    epoch = min(known)[1] if known else None
    return epoch, math.nan if epoch is None else values[epoch - 1]
