"""Record a stream of states in a run file, from which each state can be recovered."""

import os
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, Protocol

from fnloop.core.checks import boolean, integer
from fnloop.core.formatting import listed, short
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing
from fnloop.runs.failures import RecordedStream, TolerantWriter
from fnloop.runs.manifest import make_manifest
from fnloop.runs.overwrite import check_replaceable
from fnloop.runs.source import check_source, differing_fields, find_source
from fnloop.runs.start import check_target, check_unused, start_run
from fnloop.runs.writer import Writer
from fnloop.streams.time import timed
from fnloop.training.adapt import adapt
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer


def record(
    path: str | os.PathLike[str],
    trainer: Trainer | None = None,
    train: Dataset | None = None,
    validation: Dataset | None = None,
    *states: Iterable[Any],
    engine: str | None = None,
    monitor: str | None = None,
    snapshot_every: int | None = None,
    preprocessing: Preprocessing | None = None,
    overwrite: bool = False,
) -> Any:
    """Record a stream of epochs in a run file, so that `open_run` can recover each state to the bit.

    Directly after `fl.epochs(...)` the path is enough: that stream knows its trainer, data and engine. Elsewhere in a pipe, as
    after `take`, they are given. Without either, the stream is that of a custom step, which the file cannot hold: `open_run`
    is given it.

    Without `states`, return the function of a stream, for a `pipe`. Otherwise return the stream, whose states are recorded as
    they pass. A background thread hashes and writes them. After each epoch the file has its metrics and the digest of its
    state. Snapshots are written as often as a 2 % time budget allows, and at the end of the best and the last state.

    The file holds the trainer and the data. If the training and validation data together are above 64 MiB, it holds only their
    digests, and of a trainer that contains functions only the digest and the repr: pass these to `open_run` again.

    If the file can no longer be written, for example because the disk is full, training continues unrecorded. A
    `RecordingWarning` gives the reason and the last recorded epoch, and the error is the stream's `failure`.

    Args:
        path: Path of a new file. To continue an existing run, use `open_run(path).resume()`.
        trainer: The trainer of the stream. Default: that of `fl.epochs(...)`; None for a stream of records of a custom step.
        train: The training data of the stream. Default: that of `fl.epochs(...)`.
        validation: The validation data of the stream, if any. Default: that of `fl.epochs(...)`.
        states: The stream, if given.
        engine: The engine of the stream. Default: that of `fl.epochs(...)`, else `"numpy"`.
        monitor: The metric that selects the best state; by default the same as in `fit`.
        snapshot_every: Number of epochs from one snapshot to the next; by default as the time budget allows.
        preprocessing: Stored in the file, so that checkpoints exported from it can make predictions from tables.
        overwrite: Whether to replace a run file at the path, for example when a notebook cell runs again. The complete new
            file replaces it when the first state comes. Other files, and a run that is being written, are never replaced.

    Raises:
        RunError: If the path is taken and may not be replaced, or, with the first state, if the file cannot be created.
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is invalid, or the states are not those of the trainer and the data.

    Examples:
        >>> from toolz import pipe
        >>> from toolz.curried import take
        >>> pipe(fl.epochs(run.trainer, run.train, run.validation), fl.record("new.run"), take(4), fl.last).epoch
        3
        >>> len(fl.open_run("new.run").rows)
        4

    See Also:
        open_run, checkpoint
    """
    path = check_target(path)
    if boolean("overwrite", overwrite):
        path = Path(os.path.realpath(path))  # keep a symbolic link, and replace its target
    check_source(trainer, train, validation, engine)
    if preprocessing is not None and not isinstance(preprocessing, Preprocessing):
        raise TypeError(f"preprocessing must be a Preprocessing or None, got {short(preprocessing)}")
    every = None if snapshot_every is None else integer(1)("snapshot_every", snapshot_every)
    if trainer is not None and validation is not None:
        trainer.monitored(True, monitor)  # refuses an unknown metric

    def recorded(states: Iterable[Any]) -> RecordedStream:
        _check_path(path, overwrite)
        source = find_source(states, trainer, train, validation, engine)
        monitored = None if source.trainer is None else source.trainer.monitored(source.validation is not None, monitor)

        def create_file(state: Any) -> Writer:
            if source.trainer is not None and source.train is not None:
                _check_first(source.trainer, state, source.train, source.validation is not None)
            manifest, packed = make_manifest(*source, monitored, preprocessing, monitor_is_chosen=monitor is not None)
            threads = None if source.trainer is None else source.trainer.blas_threads()
            return start_run(path, manifest, packed, state, threads=threads, snapshot_every=every, overwrite=overwrite)

        writer = TolerantWriter(create_file)
        validated = None if source.trainer is None else source.validation is not None
        return RecordedStream(record_states(writer.start, states, validated), writer)

    _check_path(path, overwrite)
    return recorded(*states) if states else recorded


class StateWriter(Protocol):
    """A writer of states, such as `Writer` and `TolerantWriter`."""

    def put(self, state: Any, seconds: float) -> None:
        """Write the next state, which took `seconds` to compute."""

    def close(self) -> None:
        """Write all states that are queued, and the last snapshots."""


def record_states(
    start: Callable[[Any], StateWriter], states: Iterable[Any], validated: bool | None = None
) -> Generator[Any, None, None]:
    """Yield the states of a stream, and write each of them.

    Args:
        start: Called with the first state, which it writes; returns the writer for the others.
        states: The stream.
        validated: Whether the epochs have metrics on validation data; None to accept either.

    Raises:
        ValueError: If two states are not an epoch apart, or `validated` is wrong.
    """
    writer = previous = None
    try:
        for state, seconds in timed(states):
            if writer is None:
                writer = start(state)
            else:
                _check_next(previous, state, validated)
                writer.put(state, seconds)
            previous = state
            yield state
    finally:
        if writer is not None:
            writer.close()


def _check_path(path: Path, overwrite: bool) -> None:
    if overwrite and os.path.lexists(path):
        check_replaceable(path)
    else:
        check_unused(path, ", overwrite=True replaces it")


def _check_first(trainer: Trainer, state: Any, train: Dataset, validated: bool) -> None:
    """Check that the trainer would continue from the first state of a stream without changing it."""
    adapted, _ = adapt(trainer, state, train, validated, "states")
    if adapted is not state:
        fields = listed(differing_fields(adapted, state))
        raise ValueError(f"states must be those of this trainer and data; the first one differs in {fields}")


def _check_next(previous: Any, state: Any, validated: bool | None) -> None:
    """Check that a state is one epoch after the previous one; states of a custom step are not checked."""
    if not (isinstance(state, TrainState) and isinstance(previous, TrainState)):
        return
    stopped, epochs = state.stop_reason is not None, state.epoch - previous.epoch
    if (state.progress.batches and not stopped) or not (epochs == 1 or (stopped and epochs == 0)):
        raise ValueError(
            f"states must be an epoch apart, as those of fl.epochs are, got one with {state.epoch} epochs and "
            f"{state.progress.batches} batches after one with {previous.epoch} epochs"
        )
    if validated is not None and epochs == 1 and any(name.startswith("val_") for name in state.metrics) != validated:
        raise ValueError(
            f"validation must be that of the stream, whose states have the metrics {listed(state.metrics)}, got "
            f"{'some' if validated else 'none'}"
        )
