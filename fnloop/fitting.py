"""The whole pipe in one call: train, keep the best, measure, sum up."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from toolz import take

from fnloop.core.arrays import Array
from fnloop.core.checks import Mode, boolean, integer, real
from fnloop.core.display import html_table, one_line
from fnloop.core.errors import NoBestError
from fnloop.core.formatting import short
from fnloop.core.records import evolve, frozen
from fnloop.core.signatures import explain_calls
from fnloop.data.dataset import Dataset
from fnloop.runs.recording import record as to_file
from fnloop.streams.history import append_metrics
from fnloop.streams.progress import progress as show
from fnloop.streams.select import update_best
from fnloop.streams.stopping import until as up_to
from fnloop.streams.time import deadline, timed
from fnloop.training.evaluation import evaluate, predict, predict_proba
from fnloop.training.loop import epochs as stream_of_epochs
from fnloop.training.loss_scale import loss_scale
from fnloop.training.state import StopReason, TrainState
from fnloop.training.trainer import Trainer, check_trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@frozen
class Fit:
    """What a run came to.

    `last` is its last state, `stop_reason` is one of `StopReason`'s, `monitor` the metric that `best` is chosen by. `predict`,
    `predict_proba` and `evaluate` use the best state. `scale` is what a gap of the loss is compared with: 1 for a loss of
    classes, else the loss of a constant prediction; NaN where that is not known. `record_failure` says why recording ended
    before the run, if it did.
    """

    trainer: Trainer
    last: TrainState
    metrics: Mapping[str, tuple[float, ...]]
    stop_reason: str
    monitor: str
    found: TrainState | None
    scale: float = math.nan
    record_failure: str | None = None

    @property
    def history(self) -> dict[str, list[float]]:
        """Each metric, `lr` and `seconds` with a list of its values, one an epoch: for `pandas.DataFrame` and `json.dumps`.

        It is a copy, and a change of it changes nothing here. NaN and infinity are floats as others are; `json.dumps` writes
        them as `NaN` and `Infinity`, which Python reads and JSON's standard does not know.
        """
        return {name: list(values) for name, values in self.metrics.items()}

    @property
    def best(self) -> TrainState:
        """The best state.

        Raises: NoBestError: if none can be called so, as when the first epoch already was not finite.
        """
        if self.found is None:
            raise NoBestError(f"no epoch can be called best by {short(self.monitor)}; the run ended: {self.stop_reason}")
        return self.found

    def predict(self, x: Array, *, engine: str = "numpy") -> Array:
        """What the best state predicts, as `fl.predict` does: classes (N,), or for regression values, (N,) or (N, K).

        Raises:
            NoBestError: If there is no best state.
            ValueError: If x does not fit the model.
        """
        return predict(self.trainer, self.best, x, engine=engine)

    def predict_proba(self, x: Array, *, engine: str = "numpy") -> Array:
        """The best state's probability of each class, (N, K), as `fl.predict_proba` gives it.

        Raises:
            NoBestError: If there is no best state.
            ValueError: If x does not fit the model.
            TypeError: If the loss has no probabilities.
        """
        return predict_proba(self.trainer, self.best, x, engine=engine)

    def evaluate(self, data: Dataset, *, engine: str = "numpy") -> dict[str, float]:
        """The loss and the metrics of the best state on a dataset.

        Raises:
            NoBestError: If there is no best state.
            ValueError: If the data does not fit the model and the loss.
        """
        return evaluate(self.trainer, self.best, data, engine=engine)

    def plot(self) -> "Figure":
        """The picture of the run, `fl.plots.training`: its metrics, learning rate, seconds, and the gap to validation."""
        from fnloop.plots import training

        return training(self)

    def __repr__(self) -> str:
        return one_line("Fit", self._facts())

    def _repr_html_(self) -> str:
        return html_table("Fit", self._rows())

    def _facts(self) -> dict[str, str]:
        best = "none" if self.found is None else f"epoch {self.found.epoch}"
        value = {} if self.found is None else {self.monitor: f"{self.found.metrics[self.monitor]:.4g}"}
        return {"epochs": f"{self.last.epoch}", "stop_reason": repr(self.stop_reason), "best": best, **value}

    def summary(self) -> str:
        """The run in a few lines: epochs, time, how it ended, the final learning rate, and the best value of each metric."""
        return "\n".join(f"{name:20} {value}" for name, value in self._rows().items())

    def _rows(self) -> dict[str, str]:
        seconds = self.metrics.get("seconds", ())
        rows = {
            "epochs": f"{self.last.epoch}",
            "total time": f"{sum(seconds):.2f} s",
            "mean epoch time": f"{sum(seconds) / max(1, len(seconds)):.4f} s",
            "ended": self.stop_reason if self.last.stopped is None else str(self.last.stopped),
            "final learning rate": f"{self.last.lr:.4g}",
        }
        skipped = self.last.step - self.last.updates
        if skipped:
            rows["updates skipped"] = f"{skipped} of {self.last.step}: not finite"
        for name, values in self.metrics.items():
            if name not in {"lr", "seconds"} and values:
                mode = self.trainer.known_mode(name)
                label = f"last {name}" if mode is None else f"best {name}"
                rows[label] = _best_value(mode, values, self.last.epoch - len(values) + 1)
        if self.record_failure is not None:
            rows["recording"] = self.record_failure
        return rows


def _best_value(mode: Mode | None, values: Sequence[float], first: int) -> str:
    """The best of values that begin with an epoch, and its epoch; the last one where nobody says which is better."""
    known = [value for value in values if value == value]
    if not known:
        return "none, it was NaN in every epoch"
    value = values[-1] if mode is None else min(known) if mode == "min" else max(known)
    epoch = first + (len(values) - 1 if mode is None else values.index(value))
    bad = len(values) - sum(map(math.isfinite, values))
    return f"{value:.4f} (epoch {epoch}{f'; not finite in {bad} of {len(values)} epochs' if bad else ''})"


HINTS = {  # for arguments that such functions have elsewhere
    "callbacks": "a function of the stream of states does what a callback does, such as fl.tap(function) in a pipe",
    "verbose": "it is progress=False that prints nothing",
    "validation_data": "the validation data is the third argument, validation",
    **dict.fromkeys(("batch_size", "loss", "optimizer", "metrics", "seed"), "it is a field of the trainer"),
}


@explain_calls(HINTS)
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
    overwrite: bool = False,
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
            arguments of its own. If it cannot be written any more, as on a full disk, a `RecordingWarning` says so, and
            training goes on.
        overwrite: replace the run file that is at the path `record`, as for a cell of a notebook that is run again.
        progress: whether to show it, or the number of epochs between plain lines; False or 0 prints nothing.
        until: a predicate of a state, such as `fl.reaches("val_accuracy", 0.9)`; the run ends behind the first finished epoch
            for which it holds, with `stop_reason` "threshold reached".
        seconds: the time that the run may take, above 0; it ends behind the epoch in which it is over, with "time budget".
    Raises: TypeError, ValueError: if trainer, data and arguments do not fit together.
    """
    integer(1)("epochs", epochs)
    if boolean("overwrite", overwrite) and (record is None or callable(record)):
        raise ValueError("overwrite must be False but where record is the path of a run file, got True")
    every = int(progress) if isinstance(progress, bool) else integer(0)("progress", progress)
    trainer = check_trainer(trainer).resolve(train)
    states: Iterable[TrainState] = stream_of_epochs(trainer, train, validation, start=start, engine=engine)
    name, mode = trainer.monitored(validation is not None, monitor)
    scale = loss_scale(trainer, train)
    done = 0 if start is None else start.epoch
    ends: list[tuple[str, Callable[[TrainState], Any]]] = []
    if until is not None:
        if not callable(until):
            raise TypeError(f"until must be a function of a state, got {short(until)}")
        ends.append((StopReason.THRESHOLD.value, lambda state: state.metrics and until(state)))
    if seconds is not None:
        late = deadline(real("(0, inf)")("seconds", seconds))
        ends.append((StopReason.TIME.value, lambda state: done < state.epoch < epochs and late(state)))
    reasons: list[str] = []

    def over(state: TrainState) -> bool:
        reasons.extend(reason for reason, holds in ends if holds(state))
        return bool(reasons)

    states = up_to(over, take(max(0, epochs - done) + 1, states))
    result = recorded = None
    names = [*trainer.metric_names(validation is not None), "lr", "seconds"]
    try:
        with ExitStack() as at_end:
            if record is not None:
                how: dict[str, Any] = {"engine": engine, "monitor": name, "overwrite": overwrite}
                into = record if callable(record) else to_file(record, trainer, train, validation, **how)
                states = recorded = into(states)
                at_end.callback(getattr(states, "close", lambda: None))  # Ctrl-C between two states leaves it open
            if every:
                states = show(states, total=epochs, every=every)
            result = evolve(_collect(trainer, states, reasons, name, mode, names), scale=scale)
    except KeyboardInterrupt:  # while the run file was closed
        if result is None:
            raise
        result = evolve(result, stop_reason=StopReason.INTERRUPTED.value)
    failure = getattr(recorded, "failure", None)
    return result if failure is None else evolve(result, record_failure=str(failure))


def _collect(
    trainer: Trainer, states: Iterable[TrainState], reasons: list[str], monitor: str, mode: Mode, names: Iterable[str]
) -> Fit:
    """The fit of a stream; `reasons` holds, once the stream is over, what ended it beside the state's own reason.

    The history has all `names`, also where no epoch was finished.
    """
    history: dict[str, list[float]] = {name: [] for name in names}
    last: Any = None
    found, before, interrupted = None, 0, False
    try:
        for state, seconds in timed(states):
            if last is not None and state.epoch > before:
                append_metrics(history, {**state.metrics, "seconds": seconds})
            last, before = state, state.epoch
            found = update_best(found, state, monitor, mode)
    except KeyboardInterrupt:
        if not any(history.values()) and found is None:  # nothing was trained
            raise
        interrupted = True
    other = StopReason.INTERRUPTED.value if interrupted else next(iter(reasons), StopReason.FINISHED.value)
    metrics = {name: tuple(values) for name, values in history.items()}
    return Fit(trainer, last, metrics, last.stop_reason or other, monitor, found)
