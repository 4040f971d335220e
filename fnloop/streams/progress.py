"""Progress of a run while it trains: a bar on a terminal and in a notebook, plain lines elsewhere."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import NamedTuple, TextIO

from fnloop.core.checks import integer
from fnloop.core.signatures import curry
from fnloop.streams.history import append_metrics
from fnloop.streams.notebook import Bar, Output, in_notebook
from fnloop.streams.time import timed
from fnloop.training.state import TrainState

WINDOW = 10  # epochs in a moving average, and from one line of averages to the next


@curry
def progress(
    states: Iterable[TrainState], *, total: int | None = None, every: int = 1, file: TextIO | None = None
) -> Iterator[TrainState]:
    """Show each epoch as it passes: metrics, learning rate and seconds, and every 10 epochs their moving averages.

    A terminal shows a progress bar, a notebook one output that is updated in place, and any other file plain lines.

    Args:
        states: The stream; it is passed on unchanged.
        total: The expected number of epochs, for the bar; None if unknown.
        every: Epochs from one plain line to the next. Default: `1`.
        file: Where to write; by default the notebook's output, or standard error.

    Raises:
        TypeError: If `total` or `every` is not an integer.
        ValueError: If `total` is negative, or `every` is below 1.

    See Also:
        `tap`, `history`
    """
    if total is not None:
        integer(0)("total", total)
    integer(1)("every", every)
    if file is None and in_notebook():
        return _show_output(total, states)
    stream = sys.stderr if file is None else file
    if stream.isatty():
        return _show_bar(total, states, stream)
    return _print_lines(total, every, states, stream)


def epoch_line(state: TrainState, seconds: float, total: int | None) -> str:
    """Return one line about an epoch.

    Args:
        state: The state at the end of the epoch.
        seconds: The time that the epoch took.
        total: The expected number of epochs, or None.
    """
    of_total = "" if total is None else f"/{total}"
    width = len(of_total) - 1 if of_total else 3
    return f"epoch {state.epoch:>{width}}{of_total}  {format_metrics(state.metrics)}  {seconds:.3f} s"


def format_metrics(metrics: Mapping[str, float]) -> str:
    """Return metrics on one line.

    Args:
        metrics: Names and values; the learning rate is `lr`.

    Examples:
        >>> format_metrics({"loss": 0.5, "lr": 0.001})
        'loss 0.5000  lr 0.001'
    """
    return "  ".join(f"{name} {value:.4g}" if name == "lr" else f"{name} {value:.4f}" for name, value in metrics.items())


def averages_line(history: Mapping[str, list[float]]) -> str:
    """Return the mean of each metric over the last epochs, on one line.

    Args:
        history: Metric names and their values, one for each epoch.
    """
    means = {name: sum(values[-WINDOW:]) / len(values[-WINDOW:]) for name, values in history.items() if name != "lr"}
    return f"   mean of the last {WINDOW}: {format_metrics(means)}"


class _Passed(NamedTuple):
    """A state that passed.

    Args:
        state: The state.
        seconds: The time that the stream took to produce it.
        ends_epoch: Whether it is the first state with the metrics of its epoch.
        averages: The line of moving averages, after every 10 epochs; else None.
    """

    state: TrainState
    seconds: float
    ends_epoch: bool
    averages: str | None


def _follow(states: Iterable[TrainState]) -> Iterator[_Passed]:
    """Yield each state with what can be shown about it."""
    history: dict[str, list[float]] = {}
    last_epoch = 0
    for state, seconds in timed(states):
        ends_epoch, averages = bool(state.metrics) and state.epoch > last_epoch, None
        if ends_epoch:
            last_epoch = state.epoch
            append_metrics(history, state.metrics)
            averages = averages_line(history) if state.epoch % WINDOW == 0 else None
        yield _Passed(state, seconds, ends_epoch, averages)


def _print_lines(total: int | None, every: int, states: Iterable[TrainState], stream: TextIO) -> Iterator[TrainState]:
    for state, seconds, ends_epoch, averages in _follow(states):
        if ends_epoch and state.epoch % every == 0:
            print(epoch_line(state, seconds, total), file=stream, flush=True)
        if averages is not None:
            print(averages, file=stream, flush=True)
        if state.stopped is not None:
            print(f"stopped: {state.stopped}", file=stream, flush=True)
        yield state


def _show_output(total: int | None, states: Iterable[TrainState]) -> Iterator[TrainState]:
    text, last_averages = "", ""
    with closing(Output()) as output:
        for state, seconds, ends_epoch, averages in _follow(states):
            if averages is not None:
                last_averages = f"\n{averages}"
            if ends_epoch:
                text = f"{epoch_line(state, seconds, total)}{last_averages}\n"
                output.show(Bar(state.epoch, total, text.rstrip()))
            if state.stopped is not None:
                output.show(Bar(state.epoch, total, f"{text}stopped: {state.stopped}"))
            yield state


def _show_bar(total: int | None, states: Iterable[TrainState], stream: TextIO) -> Iterator[TrainState]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(file=stream)) as bar:
        task = bar.add_task("", total=total)
        for state, _, ends_epoch, averages in _follow(states):
            if ends_epoch:
                bar.update(task, completed=state.epoch, description=format_metrics(state.metrics))
            if averages is not None:
                bar.console.print(averages, highlight=False)
            if state.stopped is not None:
                bar.console.print(f"stopped: {state.stopped}", highlight=False)
            yield state
