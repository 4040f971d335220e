"""Resuming: a run continued in its own file, as if it had never been interrupted."""

from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

from toolz import take

from fnloop.core.checks import integer, optional
from fnloop.core.encoding import canonical
from fnloop.core.errors import ReplayError
from fnloop.core.formatting import short
from fnloop.runs.environment import observe
from fnloop.runs.lock import lock
from fnloop.runs.positions import best_row
from fnloop.runs.recorder import Best, Recorder, Start
from fnloop.runs.recording import record_states
from fnloop.runs.replay import Replay
from fnloop.runs.rows import Row
from fnloop.runs.sink import Sink
from fnloop.runs.start import MAX_SNAPSHOT_BYTES
from fnloop.runs.writer import Writer, WritingThread
from fnloop.streams.progress import progress as show_progress
from fnloop.streams.time import timed


def resume(
    replay: Replay,
    epochs: int,
    progress: bool,
    snapshot_every: int | None,
    max_bytes: int | None = MAX_SNAPSHOT_BYTES,
) -> None:
    """Continue a run after its last state; a stopped run is unchanged.

    Args:
        replay: The run.
        epochs: Total number of epochs.
        progress: Whether to show progress.
        snapshot_every: Epochs between two snapshots, or None for as few as the time budget allows.
        max_bytes: The size of all snapshots above which the oldest are thinned, or None.

    Raises:
        RunError: If another process is recording to the file, or it cannot be written.
        ReplayError: If the epoch does not have the recorded bits.
    """
    every = optional(integer(1))("snapshot_every", snapshot_every)
    most = optional(integer(1))("max_bytes", max_bytes)
    with closing(resumed(replay, epochs, every, most)) as states:  # a Ctrl-C between two states also writes what was trained
        next(states, None)  # the state that is recorded already
        for _ in show_progress(states, total=epochs) if progress else states:
            pass


def resumed(
    replay: Replay,
    epochs: int,
    snapshot_every: int | None = None,
    max_bytes: int | None = MAX_SNAPSHOT_BYTES,
    stream: Callable[[], Iterable[tuple[Any, float]]] | None = None,
    thread: WritingThread | None = None,
) -> Generator[Any, None, None]:
    """Yield the last recorded state of a run, and then those that are appended to its file; none if it is stopped.

    Before it appends a state, it computes a recorded epoch again and compares: equal bits show that it
    continues as it would have where it was recorded, whatever the versions are.

    Args:
        replay: The run.
        epochs: Total number of epochs.
        snapshot_every: As in `resume`. Default: None.
        max_bytes: As in `resume`.
        stream: The function that returns the stream of states from the last recorded one on, each with the seconds that it
            took; it is called after that one is yielded. Default: None, for which the run computes the states.
        thread: The thread that writes the file, as others. Default: one of its own.

    Raises:
        RunError: As `resume`.
        ReplayError: As `resume`.
    """
    reader = replay.reader
    with ExitStack() as on_exit:
        thread = thread or WritingThread()
        release = lock(reader.path, thread.locks)
        on_exit.callback(release)
        head = reader.rows()[-1]
        missing = epochs - head.epoch
        if head.stopped is not None or missing <= 0:
            return
        try:
            replay.check_here(head.position)
            yield replay.at(head.position)
        except ReplayError as error:
            raise ReplayError(f"{short(str(reader.path))} cannot be resumed with the same bits: {error}") from None

        def begin(state: Any) -> Writer:
            writer = _continue_run(replay, head, snapshot_every, max_bytes, release, thread)
            on_exit.pop_all()  # now the writer releases the lock
            return writer

        following = timed(replay.stream(head.position)) if stream is None else stream()
        with closing(record_states(begin, take(missing + 1, following))) as states:
            next(states)
            yield from states


def _continue_run(
    replay: Replay,
    head: Row,
    every: int | None,
    max_bytes: int | None,
    release: Callable[[], None],
    thread: WritingThread,
) -> Writer:
    """Return the writer of the rows after the head."""
    reader, best = replay.reader, best_row(replay.reader)
    start = Start(
        head.position,
        head.epoch,
        reader.hasher(),
        canonical(reader.environment_at(head.position)),
        tuple(reader.metric_names()),
    )
    observed = partial(observe, reader.manifest.engine, replay.threads_at(head.position))
    best_so_far, aliases = None if best is None else Best(best.position, best.metrics), reader.aliases
    sink = Sink(reader.path)  # after all that is read: from now on readers need the log, for which a full disk has no place
    recorder = Recorder(
        sink,
        start,
        observed,
        monitor=reader.manifest.monitor,
        best=best_so_far,
        snapshot_every=every,
        max_bytes=max_bytes,
        aliases=aliases,
    )
    return Writer(sink, recorder, release, thread)
