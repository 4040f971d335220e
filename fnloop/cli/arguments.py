"""What is typed for a state, for epochs and for a number of processes."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from fnloop.core.checks import integer
from fnloop.core.errors import RunError
from fnloop.core.formatting import short
from fnloop.runs.files import replacing
from fnloop.runs.run import Run


def epoch_at(run: Run, text: str) -> int:
    """The epoch that a text says: a number, `best` or `last`."""
    if text == "last":
        return run.rows[-1].epoch
    if text == "best":
        return int(run.best().epoch)
    return _count("EPOCH", text, "a number of finished epochs, best or last")


def state_at(run: Run, text: str, step: int | None = None) -> Any:
    """The state at a place: `12` behind an epoch, `12:350` or `:350` at a step, `best` or `last`."""
    epoch, colon, behind = text.partition(":")
    if colon and step is not None:
        raise ValueError(f"--step must not stand beside a place with a step of its own, {short(text)}")
    if colon:
        step = _count("a place", behind, "an epoch, or an epoch and a step, such as 12 or 12:350", text)
    if step is not None and not epoch:
        return run.state(step=step)
    if step is None and epoch == "last":
        return run.last
    return run.state(epoch_at(run, epoch), step)


def _count(name: str, text: str, wanted: str, whole: str | None = None) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise ValueError(f"{name} must be {wanted}, got {short(text if whole is None else whole)}")
    return int(text)


def check_other(name: str, target: Path, **inputs: str | Path) -> None:
    """Refuse to write over a file that is read, by whatever name.

    Args:
        inputs: the files by the names of their arguments; what is no file, such as a dataset's name, is passed over.
    """
    for what, source in inputs.items():
        for path in (source, f"{source}-wal"):  # a run file may have its end in another one
            if target.is_file() and os.path.isfile(path) and target.samefile(path):
                raise ValueError(f"{name} must be another file than {what}, got {short(str(target))}")


def put(text: Callable[[], str], out: Path | None, **inputs: str | Path) -> None:
    """Write what a command computes to the file of its `--out`; by default, or for `-`, to standard output.

    Args:
        text: computes it, once it is known that the file can be written.
        inputs: the files that are read, by the names of their arguments: `--out` must be none of them.
    """
    if out is None or str(out) == "-":
        typer.echo(text(), nl=False)
        return
    check_other("--out", out, **inputs)
    with replacing(out) as file:
        file.write(text().encode())


def epochs_between(run: Run, text: str | None) -> list[int] | None:
    """The epochs that a text says: `3:7` with both ends, `3:`, `:7`, or `5`; None for all that the run has."""
    if text is None:
        return None
    first, colon, last = text.partition(":")
    wanted = "epochs such as 3:7, 3:, :7 or 5"
    begin = _count("--epochs", first, wanted, text) if first or not colon else run.rows[0].epoch
    end = _count("--epochs", last, wanted, text) if last else (run.rows[-1].epoch if colon else begin)
    if not run.rows[0].epoch <= begin <= end <= run.rows[-1].epoch:
        raise ValueError(
            f"--epochs must lie in what the run has, {run.rows[0].epoch}:{run.rows[-1].epoch}, the first before the last, "
            f"got {short(text)}"
        )
    return list(range(begin, end + 1))


@contextmanager
def mapping(processes: int) -> Iterator[Callable[..., Any]]:
    """The `map` of so many processes; for one, Python's own."""
    if integer(1)("--processes", processes) == 1:
        yield map
        return
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _interruptible)
    try:
        yield pool.map
    except BrokenProcessPool as error:
        raise RunError(f"one of the {processes} processes ended before its work was done") from error
    except KeyboardInterrupt:  # the processes do not get the SIGTERM that this one got
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _interruptible() -> None:
    """In a process of the pool: Ctrl-C ends it without a word; the word is the command's."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
