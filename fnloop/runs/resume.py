"""A run gone on with, in its own file, as if it had never been interrupted."""

from contextlib import ExitStack, closing
from typing import Any

from toolz import take

from fnloop.core.checks import integer
from fnloop.core.errors import ReplayError
from fnloop.core.formatting import short
from fnloop.runs.lock import lock
from fnloop.runs.recording import record_states
from fnloop.runs.replay import Replay
from fnloop.runs.writer import Writer
from fnloop.streams.progress import progress as show


def resume(replay: Replay, epochs: int, progress: bool, snapshot_every: int | None) -> None:
    """Go on behind the last state, until so many epochs are finished in all; a stopped run stays as it is."""
    reader = replay.reader
    every = None if snapshot_every is None else integer(1)("snapshot_every", snapshot_every)
    with ExitStack() as alone:
        release = lock(reader.path)
        alone.callback(release)
        rows = reader.rows()
        head, missing = rows[-1], epochs - rows[-1].epoch
        if head.stopped is not None or missing <= 0:
            return
        here = replay.environment_differences()
        if here:
            raise ReplayError(
                f"{short(str(reader.path))} cannot go on to the bit, the environment differs: {'; '.join(here)}; "
                "run.fork(epoch, path) begins a new run from any of its states here"
            )
        monitor, best = _best_so_far(replay)
        last = replay.at(head.position)

        def begin(state: Any) -> Writer:
            names = tuple(dict.fromkeys(name for row in rows for name in row.metrics))
            writer = Writer(reader.path, head, state, names, monitor=monitor, best=best, snapshot_every=every, release=release)
            alone.pop_all()  # from here on it is the writer that ends it
            return writer

        states = record_states(begin, take(missing + 1, replay.stream(last)))
        with closing(states):  # also where Ctrl-C comes between two states: all is written
            next(states)  # the state that is there already is not shown again
            for _ in show(states, total=epochs) if progress else states:
                pass


def _best_so_far(replay: Replay) -> tuple[Any, tuple[Any, int | None]]:
    """The metric that is monitored, and the best state by it with its position."""
    monitor = replay.reader.manifest.monitor
    position = None if monitor is None else replay.reader.best_position(*monitor)
    return monitor, (None, None) if position is None else (replay.at(position), position)
