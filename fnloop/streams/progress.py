"""What a person sees of a run while it goes on: a bar on a terminal and in a notebook, plain lines elsewhere."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from time import perf_counter
from typing import TextIO

from fnloop.core.checks import integer, real
from fnloop.core.signatures import curry
from fnloop.streams.notebook import Bar, Output, in_notebook
from fnloop.streams.select import append, until
from fnloop.training.state import TrainState

WINDOW = 10  # epochs between moving averages, and in each of them


@curry
def progress(
    states: Iterable[TrainState], *, total: int | None = None, every: int = 1, file: TextIO | None = None
) -> Iterator[TrainState]:
    """Show each epoch of a stream as it passes: its metrics, learning rate and seconds, and every 10 epochs their averages.

    On a terminal and in a notebook a bar is kept up to date, in a notebook as one output; elsewhere a plain line is printed.

    Args:
        total: epochs expected, for the bar.
        every: epochs between plain lines.
        file: where to; by default the notebook, or standard error.
    See Also: tap, history
    """
    if total is not None:
        integer(0)("total", total)
    if file is None and in_notebook():
        return _output(total, states)
    stream = sys.stderr if file is None else file
    return _bar(total, states, stream) if stream.isatty() else _lines(total, integer(1)("every", every), states, stream)


def timed(states: Iterable[TrainState]) -> Iterator[tuple[TrainState, float]]:
    """Each state with the seconds that it took to come."""
    iterator, started = iter(states), perf_counter()
    for state in iterator:
        yield state, perf_counter() - started
        started = perf_counter()


@curry
def until_seconds(
    seconds: float, states: Iterable[TrainState], *, clock: Callable[[], float] = perf_counter
) -> Iterator[TrainState]:
    """The states up to and including the first that comes so many seconds, or more, after the first was asked for.

    Args:
        seconds: above 0.
        clock: a function that returns the time in seconds.
    See Also: until
    """
    return _until_seconds(real("(0, inf)")("seconds", seconds), states, clock)


def _until_seconds(seconds: float, states: Iterable[TrainState], clock: Callable[[], float]) -> Iterator[TrainState]:
    yield from until(passed(seconds, clock), states)


def passed(seconds: float, clock: Callable[[], float] = perf_counter) -> Callable[[TrainState], bool]:
    """The predicate that so many seconds have passed since it was made."""
    end = clock() + seconds
    return lambda state: clock() >= end


def line(state: TrainState, seconds: float, total: int | None) -> str:
    """One epoch on one line."""
    of = "" if total is None else f"/{total}"
    return f"epoch {state.epoch:>{len(of) - 1 if of else 3}}{of}  {values(state.metrics)}  {seconds:.3f} s"


def values(metrics: Mapping[str, float]) -> str:
    """Metrics side by side."""
    return "  ".join(f"{name} {value:.4g}" if name == "lr" else f"{name} {value:.4f}" for name, value in metrics.items())


def moving_averages(rows: Mapping[str, list[float]]) -> str:
    """The means over the last epochs."""
    means = {name: sum(row[-WINDOW:]) / len(row[-WINDOW:]) for name, row in rows.items() if name != "lr"}
    return f"   mean of the last {WINDOW}: {values(means)}"


def _lines(total: int | None, every: int, states: Iterable[TrainState], stream: TextIO) -> Iterator[TrainState]:
    rows: dict[str, list[float]] = {}
    shown = 0
    for state, seconds in timed(states):
        if state.metrics and state.epoch > shown:
            shown = state.epoch
            append(rows, state.metrics)
            if state.epoch % every == 0:
                print(line(state, seconds, total), file=stream, flush=True)
            if state.epoch % WINDOW == 0:
                print(moving_averages(rows), file=stream, flush=True)
        if state.stopped is not None:
            print(f"stopped: {state.stopped}", file=stream, flush=True)
        yield state


def _output(total: int | None, states: Iterable[TrainState]) -> Iterator[TrainState]:
    rows: dict[str, list[float]] = {}
    text, averages, shown = "", "", 0
    with closing(Output()) as output:
        for state, seconds in timed(states):
            if state.metrics and state.epoch > shown:
                shown = state.epoch
                append(rows, state.metrics)
                if state.epoch % WINDOW == 0:
                    averages = f"\n{moving_averages(rows)}"
                text = f"{line(state, seconds, total)}{averages}\n"
                output.show(Bar(state.epoch, total, text.rstrip()))
            if state.stopped is not None:
                output.show(Bar(state.epoch, total, f"{text}stopped: {state.stopped}"))
            yield state


def _bar(total: int | None, states: Iterable[TrainState], stream: TextIO) -> Iterator[TrainState]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    rows: dict[str, list[float]] = {}
    columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    shown = 0
    with Progress(*columns, console=Console(file=stream)) as bar:
        task = bar.add_task("", total=total)
        for state, _ in timed(states):
            if state.metrics and state.epoch > shown:
                shown = state.epoch
                append(rows, state.metrics)
                bar.update(task, completed=state.epoch, description=values(state.metrics))
                if state.epoch % WINDOW == 0:
                    bar.console.print(moving_averages(rows), highlight=False)
            if state.stopped is not None:
                bar.console.print(f"stopped: {state.stopped}", highlight=False)
            yield state
