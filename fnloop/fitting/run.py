"""`fit`: a whole run in one call."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from toolz import take

from fnloop.core.checks import Mode, boolean, integer, real
from fnloop.core.formatting import short
from fnloop.core.iteration import take_until
from fnloop.core.records import evolve
from fnloop.core.signatures import explain_calls
from fnloop.data.dataset import Dataset
from fnloop.fitting.result import Fit
from fnloop.runs.recording import record as record_to
from fnloop.streams.history import append_metrics
from fnloop.streams.progress import progress as show_progress
from fnloop.streams.select import update_best
from fnloop.streams.time import deadline, timed
from fnloop.training.epoch_stream import EpochStream
from fnloop.training.loop import epochs as stream_of_epochs
from fnloop.training.loss_scale import loss_scale
from fnloop.training.state import StopReason, TrainState
from fnloop.training.trainer import Trainer, check_trainer

HINTS = {  # for arguments of similar functions in other packages
    "callbacks": "use a function of the stream of states in place of a callback, such as fl.tap(function) in a pipe",
    "verbose": "use progress=False to print nothing",
    "validation_data": "the validation data is the third argument, validation",
    **dict.fromkeys(("batch_size", "loss", "optimizer", "metrics", "seed"), "it is a field of the trainer"),
}
Predicate = Callable[[TrainState], Any]
StreamFunction = Callable[[Iterable[TrainState]], Iterable[TrainState]]


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
    """Train for a number of epochs and keep the best state.

    Ctrl-C ends the run like any other reason: the result has the states so far and the `stop_reason` "interrupted". Before the
    first epoch is finished there is no result, and `KeyboardInterrupt` is raised.

    Args:
        trainer: Everything that defines the run.
        train: The training set.
        validation: The validation set; None for no validation metrics.
        epochs: The number of epochs in total, at least 1; those before `start` count. Early stopping may end the run before.
        monitor: Name of the metric that selects the best state. By default the one that early stopping monitors; without
            early stopping, `"val_loss"`, or `"loss"` without a validation set.
        start: A state to resume from; by default training starts with `init_state(trainer, train)`.
        engine: `"numpy"` (the default) or `"jax"`.
        record: Path of a new run file, from which `open_run` recovers every state; or `fl.record(path, ...)` with options; or
            None to record nothing. If the file cannot be written any more, for example because the disk is full, a
            `RecordingWarning` gives the reason and training continues.
        overwrite: Whether to replace a run file at the path `record`, for example when a notebook cell runs again.
        progress: Whether to show progress, or the number of epochs between two plain lines. False and 0 show nothing.
        until: A predicate of a state, such as `fl.reaches("val_accuracy", 0.9)`. The run ends after the first epoch for which
            it holds, with the `stop_reason` "threshold reached".
        seconds: Time budget in seconds, above 0; None for no limit. The run ends after the epoch in which the time is up, with
            the `stop_reason` "time budget".

    Returns:
        The last and the best state, the history and the reason why the run ended.

    Raises:
        EngineError: If the engine is not available, or cannot compute a part of the trainer.
        KeyboardInterrupt: If Ctrl-C is pressed before the first epoch is finished.
        NonFiniteError: If a loss or an update is not finite and the trainer has `non_finite="raise"`.
        RunError: If the run file cannot be created, or there is one already and `overwrite` is False.
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is invalid, or the data does not match the trainer.

    Examples:
        >>> from fnloop.nn import mlp
        >>> data = Dataset([[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 3.0])
        >>> trainer = Trainer(model=mlp([1, 1]), loss="mse", optimizer="adam", scheduler=0.1)
        >>> fit(trainer, data, epochs=3, progress=False).last.epoch
        3

    See Also:
        `fnloop.epochs`, the stream of states that `fit` is made from; `Fit`
    """
    integer(1)("epochs", epochs)
    if boolean("overwrite", overwrite) and (record is None or callable(record)):
        raise ValueError("overwrite must be False unless record is the path of a run file, got True")
    lines_every = int(progress) if isinstance(progress, bool) else integer(0)("progress", progress)
    trainer = check_trainer(trainer).resolve(train)
    stream = stream_of_epochs(trainer, train, validation, start=start, engine=engine)
    recorder = record if record is None or callable(record) else record_to(record, monitor=monitor, overwrite=overwrite)
    first_epoch = 0 if start is None else start.epoch
    fitting = fit_stream(
        stream,
        epochs=epochs,
        first_epoch=first_epoch,
        monitor=monitor,
        recorder=recorder,
        until=until,
        seconds=seconds,
        shown=show_progress(total=epochs, every=lines_every) if lines_every else None,
    )
    return result_of(fitting)


def fit_stream(
    stream: EpochStream,
    *,
    epochs: int,
    first_epoch: int = 0,
    monitor: str | None = None,
    recorder: StreamFunction | None = None,
    until: Predicate | None = None,
    seconds: float | None = None,
    shown: StreamFunction | None = None,
    timer: Callable[[Iterable[TrainState]], Iterator[tuple[TrainState, float]]] = timed,
) -> Generator[TrainState, None, Fit]:
    """Yield the states of a stream, up to the end of the run, and return the result.

    `fit` is this function with the stream of `epochs`.

    Args:
        stream: The stream; its trainer is resolved.
        epochs: As in `fit`.
        first_epoch: The epoch of the first state. Default: `0`.
        monitor: As in `fit`.
        recorder: A function of the stream that records it, and passes it on. Default: None.
        until: As in `fit`.
        seconds: As in `fit`.
        shown: A function of the stream that shows it, and passes it on. Default: None.
        timer: A function of the stream that returns each state with the seconds that it took. Default: `timed`.
    """
    trainer, has_validation = stream.trainer, stream.validation is not None
    monitor, mode = trainer.monitored(has_validation, monitor)
    scale = loss_scale(trainer, stream.train)
    conditions: list[tuple[StopReason, Predicate]] = []
    if until is not None:
        if not callable(until):
            raise TypeError(f"until must be a function of a state, got {short(until)}")
        conditions.append((StopReason.THRESHOLD, lambda state: state.metrics and until(state)))
    if seconds is not None:
        time_is_up = deadline(real("(0, inf)")("seconds", seconds))
        conditions.append((StopReason.TIME, lambda state: first_epoch < state.epoch < epochs and time_is_up(state)))
    ending = _Ending(conditions)
    result = None
    names = [*trainer.metric_names(has_validation), "lr", "seconds"]
    try:
        with ExitStack() as at_end:
            recorded: Iterable[TrainState] = stream if recorder is None else recorder(stream)
            at_end.callback(getattr(recorded, "close", lambda: None))  # also after Ctrl-C between two states
            states: Iterable[TrainState] = take_until(ending, take(max(0, epochs - first_epoch) + 1, recorded))
            timed_states = timer(states if shown is None else shown(states))
            result = yield from _collect(trainer, timed_states, ending, monitor, mode, names)
            result = evolve(result, loss_scale=scale)
    except KeyboardInterrupt:  # while the run file was being closed
        if result is None:
            raise
        result = evolve(result, stop_reason=StopReason.INTERRUPTED.value)
    failure = getattr(recorded, "failure", None)
    return result if failure is None else evolve(result, record_failure=str(failure))


class _Ending:
    """Conditions that end a stream of states; `reason` is that of the one that did, or None."""

    def __init__(self, conditions: Sequence[tuple[StopReason, Predicate]]) -> None:
        self.conditions = conditions
        self.reason: StopReason | None = None

    def __call__(self, state: TrainState) -> bool:
        """Return whether a condition holds for a state, which is then the last one."""
        self.reason = next((reason for reason, holds in self.conditions if holds(state)), None)
        return self.reason is not None


def result_of(fitting: Generator[TrainState, None, Fit]) -> Fit:
    """Return the result of `fit_stream`, whose states are read and dropped."""
    while True:
        try:
            next(fitting)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def _collect(
    trainer: Trainer,
    states: Iterable[tuple[TrainState, float]],
    ending: _Ending,
    monitor: str,
    mode: Mode,
    names: Iterable[str],
) -> Generator[TrainState, None, Fit]:
    """Yield the states, and return the result; its history has all names, even if no epoch was finished."""
    history: dict[str, list[float]] = {name: [] for name in names}
    last: Any = None
    best_state, previous_epoch, interrupted = None, 0, False
    try:
        for state, seconds in states:
            if last is not None and state.epoch > previous_epoch:
                append_metrics(history, {**state.metrics, "seconds": seconds})
            last, previous_epoch = state, state.epoch
            best_state = update_best(best_state, state, monitor, mode)
            yield state
    except KeyboardInterrupt:
        if not any(history.values()) and best_state is None:  # nothing was trained
            raise
        interrupted = True
    ended_by = StopReason.INTERRUPTED if interrupted else ending.reason or StopReason.FINISHED
    return Fit(
        trainer=trainer,
        last=last,
        metrics={name: tuple(values) for name, values in history.items()},
        stop_reason=last.stop_reason or ended_by.value,
        monitor=monitor,
        best_state=best_state,
    )
