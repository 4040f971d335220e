"""Progress of a population: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable, Mapping
from itertools import count
from typing import TYPE_CHECKING, TextIO

from fnloop.fitting import Fit
from fnloop.training.state import TrainState

if TYPE_CHECKING:
    from optuna import Study

LINES = 10  # plain lines of a run


def show_members(total: int, file: TextIO | None = None) -> Callable[[Mapping[int, TrainState]], None]:
    """Return a function that shows how far a population is.

    Args:
        total: The number of epochs.
        file: Where to write. Default: None, standard error.
    """
    stream = sys.stderr if file is None else file
    every = max(1, total // LINES)

    def show(states: Mapping[int, TrainState]) -> None:
        epoch = max((state.epoch for state in states.values()), default=0)
        if epoch and (stream.isatty() or epoch % every == 0 or epoch == total):
            _replace_line(members_line(states, total), stream, is_last=epoch == total)

    return show


def _replace_line(line: str, stream: TextIO, *, is_last: bool) -> None:
    """Write a line: on a terminal in the place of the one before, which may be longer, elsewhere below it."""
    if stream.isatty():
        print(f"\r{line}\x1b[K", end="\n" if is_last else "", file=stream, flush=True)
    else:
        print(line, file=stream, flush=True)


def members_line(states: Mapping[int, TrainState], total: int) -> str:
    """Return one line about an epoch of a population.

    Args:
        states: The state of each member that still trains.
        total: The number of epochs.
    """
    epoch = max(state.epoch for state in states.values())
    name = next((name for state in states.values() for name in ("val_loss", "loss") if name in state.metrics), None)
    values = [state.metrics[name] for state in states.values() if name in state.metrics] if name else []
    best = f", lowest {name} {min(values):.4f}" if values else ""
    members = "1 member trains" if len(states) == 1 else f"{len(states)} members train"
    return f"epoch {epoch:>{len(str(total))}}/{total}: {members}{best}"


def show_groups(groups: int, members: int, file: TextIO | None = None) -> Callable[[Mapping[int, Fit]], None]:
    """Return a function that shows how many members other processes have trained, each time that a group is ready.

    Args:
        groups: The number of groups.
        members: The number of members.
        file: Where to write. Default: None, standard error.
    """
    stream = sys.stderr if file is None else file
    every, calls = max(1, groups // LINES), count(1)

    def show(fits: Mapping[int, Fit]) -> None:
        number = next(calls)
        if stream.isatty() or number % every == 0 or number == groups:
            values = [fit.best.metrics[fit.monitor] for fit in fits.values() if fit.best_state is not None]
            first = next(iter(fits.values()))
            best = (min if first.trainer.mode_of(first.monitor) == "min" else max)(values, default=None)
            text = "" if best is None else f", best {first.monitor} {best:.4f}"
            _replace_line(f"{len(fits)} of {members} members{text}", stream, is_last=number == groups)

    return show


def show_trials(total: int, monitor: str, file: TextIO | None = None) -> "Callable[[Study], None]":
    """Return a function that shows how far a search is, in one line for each batch of trials.

    Args:
        total: The number of trials.
        monitor: The name of the metric.
        file: Where to write. Default: None, standard error.
    """
    stream = sys.stderr if file is None else file

    def show(study: "Study") -> None:
        states = [trial.state.name for trial in study.get_trials(deepcopy=False)]
        pruned, complete = states.count("PRUNED"), states.count("COMPLETE")
        line = f"trial {complete + pruned:>{len(str(total))}}/{total}: {pruned} pruned"
        best = f", best {monitor} {study.best_value:.4f} (trial {study.best_trial.number})" if complete else ""
        print(line + best, file=stream, flush=True)

    return show
