"""Recorded runs that are continued together, each in its own file."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import chain
from typing import Any

import toolz

from fnloop.populations.lockstep import Lockstep
from fnloop.runs.replay import Replay
from fnloop.runs.resume import resumed
from fnloop.runs.writer import WritingThread
from fnloop.training.non_finite import warn_non_finite
from fnloop.training.population import kind_of, make_population_epoch, prepare_population
from fnloop.training.state import TrainState

Timed = Iterator[tuple[TrainState, float]]
Show = Callable[[Mapping[int, TrainState]], None]


def resume_together(runs: Sequence[Replay], epochs: int, show: Show) -> None:
    """Continue each of several runs in its file, to the bits of `Run.resume`.

    Those of one kind and the same data train together; kinds train in sequence. A run that is stopped, or has all epochs,
    is unchanged.

    Args:
        runs: The runs.
        epochs: Total number of epochs.
        show: A function of the newest state of each run that trains.

    Raises:
        KeyboardInterrupt: If Ctrl-C is pressed; all epochs that were trained are in the files.
        RunError: If another process is recording to a file, or it cannot be written.
        ReplayError: If a run would not continue with the bits with which it was recorded.
    """
    for group in toolz.groupby(_kind, filter(lambda run: _is_unfinished(run, epochs), runs)).values():
        _resume(group, epochs, show)


def _is_unfinished(run: Replay, epochs: int) -> bool:
    head = run.reader.rows()[-1]
    return head.stopped is None and head.epoch < epochs


def _kind(run: Replay) -> tuple[Any, ...]:
    """Return what runs that train together have in common. One of a custom step, or on JAX, has its own bits only alone."""
    manifest = run.reader.manifest
    if manifest.trainer is None or manifest.engine != "numpy":
        return (id(run),)
    head = run.reader.rows()[-1].position
    return kind_of(run.trainer_at(head)), manifest.train, manifest.validation


def _resume(runs: Sequence[Replay], epochs: int, show: Show) -> None:
    """Continue a run, or several runs that train together."""
    streams: dict[int, Timed] = {}
    thread = WritingThread(is_shared=True)
    with ExitStack() as at_end:
        at_end.callback(thread.close)
        appended: dict[int, Generator[Any, None, None]] = {}
        heads: dict[int, Any] = {}
        for i, run in enumerate(runs):
            stream = _later(streams, i) if runs[1:] else None
            states = at_end.enter_context(closing(resumed(run, epochs, stream=stream, thread=thread)))
            for heads[i] in states:  # none, if another process has continued it in the meantime
                appended[i] = states
                break
        if runs[1:]:
            streams |= _lockstep(runs, heads, at_end)
        while appended:
            newest = {}
            for i in list(appended):
                try:
                    newest[i] = next(appended[i])
                except StopIteration:
                    del appended[i]
            show(newest)


def _later(streams: Mapping[int, Timed], i: int) -> Callable[[], Timed]:
    """Return the function that returns a stream, which is made once the first state of each is known."""
    return lambda: streams[i]


def _lockstep(runs: Sequence[Replay], heads: Mapping[int, TrainState], at_end: ExitStack) -> dict[int, Timed]:
    """Return the stream of each run from its last state on; the first that is asked for an epoch computes it for all."""
    reader = runs[0].reader
    trainers = [run.trainer_at(run.reader.rows()[-1].position) for run in runs]
    lockstep = Lockstep(make_population_epoch(prepare_population(trainers, reader.train, reader.validation)), heads)
    streams = {i: at_end.enter_context(closing(lockstep.stream(i))) for i in heads}
    return {i: lockstep.timed(warn_non_finite(chain([next(stream)], stream))) for i, stream in streams.items()}
