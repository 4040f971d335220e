"""Record a stream of states in a run file, from which each state can be recovered."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from fnloop.core.checks import boolean, integer, optional
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing, check_preprocessing
from fnloop.runs.failures import RecordedStream, TolerantWriter
from fnloop.runs.files import check_target
from fnloop.runs.manifest import make_manifest
from fnloop.runs.overwrite import check_replaceable
from fnloop.runs.source import Source, check_source, find_source
from fnloop.runs.start import MAX_SNAPSHOT_BYTES, check_unused, start_run
from fnloop.runs.stream_check import Check, make_check
from fnloop.runs.writer import Writer, WritingThread
from fnloop.streams.time import timed
from fnloop.training.epoch_stream import EpochStream
from fnloop.training.trainer import Trainer

Timer = Callable[[Iterable[Any]], Iterator[tuple[Any, float]]]


def record(
    path: str | os.PathLike[str],
    trainer: Trainer | None = None,
    train: Dataset | None = None,
    validation: Dataset | None = None,
    *states: Iterable[Any],
    engine: str | None = None,
    monitor: str | None = None,
    snapshot_every: int | None = None,
    max_bytes: int | None = MAX_SNAPSHOT_BYTES,
    preprocessing: Preprocessing | None = None,
    overwrite: bool = False,
) -> Any:
    """Record a stream of epochs in a run file, so that `open_run` can recover each state to the bit.

    Directly after `fl.epochs(...)` the path is enough: that stream knows its trainer, data and engine. Elsewhere in a pipe, as
    after `take`, they are given, and checked: when the second state comes, its epoch is computed again and must have its bits.
    Without either, the stream is that of a custom step, which the file cannot hold: `open_run` is given it.

    Without `states`, return the function of a stream, for a `pipe`. Otherwise return the stream, whose states are recorded as
    they pass. A background thread hashes and writes them, about once a second: the metrics and the digest of each state, and
    some states in full. These snapshots are placed so that any other state can be computed again in about 0.2 s, as far as a
    small share of the training time allows. Within that share the best state gets one when it appears. The latest gets one at
    least every minute. At the end there are snapshots of both.

    The file holds the trainer and the data. If the training and validation data together are above 64 MiB, it holds only their
    digests, and of a trainer that contains functions only the digest and the repr: pass these to `open_run` again.

    If the file cannot be written, for example because the disk is full, training continues unrecorded. A `RecordingWarning`
    gives the reason and the last recorded epoch, and the error is the stream's `failure`.

    Args:
        path: Path of a new file. To continue an existing run, use `open_run(path).resume()`.
        trainer: The trainer of the stream. Default: that of `fl.epochs(...)`; None for a stream of records of a custom step.
        train: The training data of the stream. Default: that of `fl.epochs(...)`.
        validation: The validation data of the stream, if any. Default: that of `fl.epochs(...)`.
        states: The stream, if given.
        engine: The engine of the stream. Default: that of `fl.epochs(...)`, else `"numpy"`.
        monitor: The metric that selects the best state; by default the same as in `fit`.
        snapshot_every: Number of epochs from one snapshot to the next; by default as described above.
        max_bytes: The size of all snapshots, in bytes, above which the oldest are thinned; None for no limit.
        preprocessing: Stored in the file, so that checkpoints exported from it can make predictions from tables.
        overwrite: Whether to replace a run file at the path, for example when a notebook cell runs again. The new file
            replaces it when its first states are written, about a second after the first of them. Other files, and a run that
            is being written, are never replaced.

    Raises:
        OSError: If the folder does not exist, or no file can be created in it.
        RunError: If the path is taken and may not be replaced.
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
    check_preprocessing(preprocessing)
    most = optional(integer(1))("max_bytes", max_bytes)
    every = optional(integer(1))("snapshot_every", snapshot_every)
    if trainer is not None and validation is not None:
        trainer.monitored(True, monitor)  # refuses an unknown metric

    def recorded(states: Iterable[Any]) -> RecordedStream:
        source = find_source(states, trainer, train, validation, engine)
        return record_stream(states, path, source, options)

    options = Options(monitor, every, most, preprocessing, overwrite)
    _check_path(path, overwrite)
    return recorded(*states) if states else recorded


class Options(NamedTuple):
    """How a stream is recorded; the fields are arguments of `record`."""

    monitor: str | None = None
    snapshot_every: int | None = None
    max_bytes: int | None = MAX_SNAPSHOT_BYTES
    preprocessing: Preprocessing | None = None
    overwrite: bool = False


def record_stream(
    states: Iterable[Any],
    path: Path,
    source: Source,
    options: Options,
    *,
    thread: WritingThread | None = None,
    timer: Timer = timed,
) -> RecordedStream:
    """Return a stream whose states are recorded as they pass.

    Args:
        states: The stream.
        path: The run file.
        source: What its states are computed from.
        options: The options.
        thread: The thread that writes the file, as others. Default: one of its own.
        timer: A function of the stream that returns each state with the seconds that it took.

    Raises:
        RunError: If the path is taken and may not be replaced.
        ValueError: If the run does not have the metric that selects the best state.
    """
    _check_path(path, options.overwrite)
    trainer, monitor = source.trainer, options.monitor
    monitored = None if trainer is None else trainer.monitored(source.validation is not None, monitor)
    check = None if isinstance(states, EpochStream) else make_check(source)

    def create_file(state: Any) -> Writer:
        of_file = thread or WritingThread()
        manifest, packed = make_manifest(
            *source,
            monitored,
            options.preprocessing,
            monitor_is_chosen=monitor is not None,
            pack_dataset=of_file.pack_dataset,
        )
        return start_run(
            path,
            manifest,
            packed,
            state,
            of_file,
            threads=None if trainer is None else trainer.blas_threads(),
            snapshot_every=options.snapshot_every,
            max_bytes=options.max_bytes,
            overwrite=options.overwrite,
            hold=check is not None,
        )

    writer = TolerantWriter(create_file)
    return RecordedStream(record_states(writer.start, timer(states), check), writer)


class StateWriter(Protocol):
    """A writer of states, such as `Writer` and `TolerantWriter`."""

    def put(self, state: Any, seconds: float) -> None:
        """Write the next state, which took `seconds` to compute."""

    def close(self) -> None:
        """Write all states that are queued, and the last snapshots."""

    def discard(self) -> None:
        """End the recording of a stream whose last state was refused."""


def record_states(
    start: Callable[[Any], StateWriter], timed_states: Iterable[tuple[Any, float]], check: Check | None = None
) -> Generator[Any, None, None]:
    """Yield the states of a stream, and write each of them.

    Args:
        start: Called with the first state, which it writes; returns the writer for the others.
        timed_states: The stream, each state with the seconds that it took.
        check: Called with each state before it is written; None for a stream whose states need no check.

    Raises:
        TypeError: If the check refuses a state, which is of another type.
        ValueError: If the check refuses a state.
    """
    writer = previous = None
    try:
        for position, (state, seconds) in enumerate(timed_states):
            if check is not None:
                try:
                    check(position, previous, state)
                except Exception:
                    if writer is not None:
                        writer.discard()
                    raise
            if writer is None:
                writer = start(state)
            else:
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
