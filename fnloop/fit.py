"""The whole pipe in one call: train, keep the best, measure, sum up."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from toolz import take

from fnloop.data import Dataset
from fnloop.early_stopping import StopReason
from fnloop.errors import NoBestError
from fnloop.loop import epochs as stream_of_epochs
from fnloop.metrics import mode_of
from fnloop.progress import passed, timed
from fnloop.progress import progress as show
from fnloop.record import record as frozen
from fnloop.runs.recording import record as to_file
from fnloop.state import TrainState
from fnloop.streams import append, keep_best
from fnloop.streams import until as up_to
from fnloop.trainer import Trainer
from fnloop.typing import Mode, integer, real


@frozen
class Fit:
    """What a run came to.

    `last` is its last state, `history` maps each metric, `lr` and `seconds` to a list with a value an epoch, `stop_reason` is
    one of `StopReason`'s, `monitor` the metric that `best` is chosen by.
    """

    trainer: Trainer
    last: TrainState
    history: Mapping[str, list[float]]
    stop_reason: str
    monitor: str
    found: TrainState | None

    @property
    def best(self) -> TrainState:
        """The best state.

        Raises: NoBestError: if none can be called so, as when the first epoch already was not finite.
        """
        if self.found is None:
            raise NoBestError(f"no epoch can be called best by {self.monitor!r}; the run ended: {self.stop_reason}")
        return self.found

    def summary(self) -> str:
        """The run in a few lines: epochs, time, how it ended, the final learning rate, and the best value of each metric."""
        seconds = self.history.get("seconds", [])
        stopped = self.last.early_stopping.stopped_epoch
        ended = self.stop_reason if stopped is None else f"{self.stop_reason}, in epoch {stopped}"
        rows = {
            "epochs": f"{self.last.epoch}",
            "total time": f"{sum(seconds):.2f} s",
            "mean epoch time": f"{sum(seconds) / max(1, len(seconds)):.4f} s",
            "ended": ended,
            "final learning rate": f"{self.last.lr:.4g}",
        }
        for name, values in self.history.items():
            if name not in {"lr", "seconds"}:
                rows[f"best {name}"] = _best_value(name, values)
        return "\n".join(f"{name:20} {value}" for name, value in rows.items())


def _best_value(name: str, values: list[float]) -> str:
    known = [(value, -epoch) for epoch, value in enumerate(values, start=1) if value == value]
    if not known:
        return "none, it was NaN in every epoch"
    value = min(v for v, _ in known) if mode_of(name) == "min" else max(v for v, _ in known)
    return f"{value:.4f} (epoch {values.index(value) + 1})"


def fit(
    trainer: Trainer,
    train: Dataset,
    validation: Dataset | None = None,
    *,
    epochs: int = 100,
    monitor: str | None = None,
    start: TrainState | None = None,
    engine: str = "numpy",
    record: str | os.PathLike[str] | Callable[[Iterable[TrainState]], Iterable[TrainState]] | None = None,
    progress: bool | int = True,
    until: Callable[[TrainState], Any] | None = None,
    seconds: float | None = None,
) -> Fit:
    """Train for up to that many epochs, and keep the best state.

    Ctrl-C ends the run as any other reason does: what was reached is returned, with `stop_reason` "interrupted". Before the
    end of the first epoch, where nothing was reached, it is `KeyboardInterrupt` as usual.

    Args:
        epochs: in all, those of `start` included; at least 1.
        monitor: the metric that `best` is chosen by, the smallest for a loss and the largest otherwise; by default the one
            that early stopping monitors, else `val_loss`, else `loss`.
        start: a state to go on from.
        engine: `"numpy"` or `"jax"`, as in `epochs`.
        record: the path of a new run file, from which any state can be had again (`fl.open_run`), or `fl.record(...)` with
            arguments of its own.
        progress: whether to show it, or the number of epochs between plain lines; False or 0 prints nothing.
        until: a predicate of a state, such as `fl.reaches("val_accuracy", 0.9)`; the run ends behind the first finished epoch
            for which it holds, with `stop_reason` "threshold reached".
        seconds: the time that the run may take, above 0; it ends behind the epoch in which it is over, with "time budget".
    Raises: TypeError, ValueError: if trainer, data and arguments do not fit together.
    """
    integer(1)("epochs", epochs)
    every = int(progress) if isinstance(progress, bool) else integer(0)("progress", progress)
    states: Iterable[TrainState] = stream_of_epochs(trainer, train, validation, start=start, engine=engine)
    name, mode = trainer.monitored(validation is not None, monitor)
    done = 0 if start is None else start.epoch
    ends: list[tuple[str, Callable[[TrainState], Any]]] = []
    if until is not None:
        if not callable(until):
            raise TypeError(f"until must be a function of a state, got {until!r}")
        ends.append((StopReason.THRESHOLD.value, lambda state: state.metrics and until(state)))
    if seconds is not None:
        late = passed(real("(0, inf)")("seconds", seconds))
        ends.append((StopReason.TIME.value, lambda state: done < state.epoch < epochs and late(state)))
    reasons: list[str] = []

    def over(state: TrainState) -> bool:
        reasons.extend(reason for reason, holds in ends if holds(state))
        return bool(reasons)

    states = up_to(over, take(max(0, epochs - done) + 1, states))
    with ExitStack() as at_end:
        if record is not None:
            into = record if callable(record) else to_file(record, trainer, train, validation, engine=engine, monitor=name)
            states = into(states)
            at_end.callback(getattr(states, "close", lambda: None))  # Ctrl-C between two states leaves it open
        if every:
            states = show(states, total=epochs, every=every)
        return _collect(trainer, states, reasons, name, mode)


def _collect(trainer: Trainer, states: Iterable[TrainState], reasons: list[str], monitor: str, mode: Mode) -> Fit:
    """The fit of a stream; `reasons` holds, once the stream is over, what ended it beside the state's own reason."""
    history: dict[str, list[float]] = {}
    last: Any = None
    found, before, interrupted = None, 0, False
    try:
        for state, seconds in timed(states):
            if last is not None and state.epoch > before:
                append(history, {**state.metrics, "seconds": seconds})
            last, before = state, state.epoch
            found = keep_best(found, state, monitor, mode)
    except KeyboardInterrupt:
        if not history and found is None:  # nothing was trained
            raise
        interrupted = True
    other = StopReason.INTERRUPTED.value if interrupted else next(iter(reasons), StopReason.FINISHED.value)
    return Fit(trainer, last, history, last.stop_reason or other, monitor, found)
