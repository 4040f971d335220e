"""The run file of `fnloop train` and `fnloop demo`: where it is, how it is recorded, and the commands for it."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from shlex import join, quote

from fnloop.data.table_split import TableSplit
from fnloop.runs.files import free_path
from fnloop.runs.recording import record
from fnloop.training.state import TrainState

Recorder = Callable[[Iterable[TrainState]], Iterable[TrainState]]


def new_run_file(path: Path) -> tuple[Path, str]:
    """Return a path at which there is no file yet, and the line to print; an existing run file is never replaced.

    Args:
        path: The path to use if it is free.
    """
    run = free_path(path)
    return run, f"Recording every epoch in {run}{f' ({path} exists already)' if run != path else ''}."


def recorder(run: Path | None, splits: TableSplit, *, monitor: str | None = None) -> Recorder | None:
    """Return the `record` argument of `fit`, with the preprocessing that predictions need; None if there is no run file.

    Args:
        run: The run file, or None.
        splits: The data, with its preprocessing.
        monitor: The metric that the best state is chosen by. Default: that of `fit`.
    """
    return None if run is None else record(run, monitor=monitor, preprocessing=splits.preprocessing)


def run_commands(run: Path | None, epochs: int | None = None, record: Path | None = None) -> list[str]:
    """Return the commands to suggest for a run file.

    Args:
        run: The run file, if there is one.
        epochs: For an interrupted run, the total number of epochs to resume it to.
        record: What is resumed: the run file, or its folder. Default: None, for the run file.
    """
    if run is None:
        return []
    name = quote(str(run))
    resume = [] if epochs is None else [f"fnloop resume {quote(str(record or run))} --epochs {epochs}"]
    return [*resume, f"fnloop log {name}", f"fnloop verify {name}"]


def this_command(flag: str) -> str:
    """Return the command line of this process, with a flag that it may have already.

    Args:
        flag: The flag.
    """
    words = sys.argv[1:]
    return join(["fnloop", *words, *([] if flag in words else [flag])])


def next_commands(commands: Sequence[str]) -> str:
    """Return suggested commands as text, each on its own line.

    Args:
        commands: The command lines.
    """
    return "\n".join(f"{'      ' if i else 'Next: '}{command}" for i, command in enumerate(commands))
