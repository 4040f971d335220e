"""A folder of run files, such as those of `fnloop train --members`: resumed together, and exported as one ensemble."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import typer

from fnloop.cli.results import save_model
from fnloop.cli.run_file import next_commands
from fnloop.core.digest import same_bits
from fnloop.core.display import pluralize
from fnloop.core.formatting import listed, short
from fnloop.populations.ensemble import ensemble
from fnloop.populations.progress import show_members
from fnloop.populations.resume import resume_together
from fnloop.runs.reader import Reader
from fnloop.runs.replay import Replay
from fnloop.runs.rows import Row
from fnloop.runs.run import Run, open_run
from fnloop.training.trainer import Trainer


def run_files(folder: Path) -> list[Path]:
    """Return the run files of a folder, in the order of their names.

    Args:
        folder: The folder.

    Raises:
        ValueError: If there are none.
    """
    files = sorted(folder.glob("*.run"))
    if not files:
        inside = sorted({str(path.parent) for path in folder.glob("*/*.run")})
        hint = f"; did you mean {listed(inside)}?" if inside else ""
        raise ValueError(f"RUN must be a run file, or a folder of files that end in .run, got {short(str(folder))}{hint}")
    return files


def resume_folder(folder: Path, epochs: int) -> None:
    """Resume the runs of a folder together, and print how far they got.

    Args:
        folder: The folder.
        epochs: Total number of epochs.

    Raises:
        Abort: If Ctrl-C ended it; the message has the command that continues.
    """
    runs, name = [Replay(Reader(file)) for file in run_files(folder)], quote(str(folder))
    before = [run.reader.rows()[-1] for run in runs]
    try:
        resume_together(runs, epochs, show_members(epochs))
    except KeyboardInterrupt:
        raise typer.Abort(
            f"interrupted; all epochs that were finished are in {folder}, fnloop resume {name} --epochs {epochs} continues"
        ) from None
    after = [run.reader.rows()[-1] for run in runs]
    state = f"{pluralize(len(runs), 'run')} with {_counts([row.epoch for row in after])} epochs{_endings(after)}"
    if [row.epoch for row in after] == [row.epoch for row in before]:
        typer.echo(f"{folder}: nothing to resume in {state}; fnloop resume {name} --epochs N trains to N in total.")
    else:
        typer.echo(f"{folder}: {state}")
    _tell_missing(folder)
    trainers = [run.trainer_at(row.position) for run, row in zip(runs, after, strict=True)]
    one_run = f"fnloop log {quote(str(runs[0].reader.path))}"
    typer.echo(next_commands(export_commands(folder) if _is_ensemble(trainers) else [one_run]))


def _tell_missing(folder: Path) -> None:
    """Print how many runs a killed process had started without a file: only their locks are there."""
    locked = (lock.name.removesuffix("-lock") for lock in folder.glob("*.run-lock"))
    missing = sorted(name for name in locked if not (folder / name).exists())
    if missing:
        were = "was" if len(missing) == 1 else "were"
        typer.echo(f"{pluralize(len(missing), 'run')} {were} not yet written when the process ended: {listed(missing)}")


def _is_ensemble(trainers: Sequence[Any]) -> bool:
    """Return whether trainers differ only in the seed: others, such as those of a search, are no members of one model."""
    if not all(isinstance(trainer, Trainer) for trainer in trainers):
        return False
    first, *others = (trainer.replace(seed=0) for trainer in trainers)
    return all(same_bits(other, first) for other in others)


def export_commands(run: Path) -> list[str]:
    """Return the command that writes the best state, or the ensemble of the best states, where `fnloop train` wrote it.

    Args:
        run: A run file, or a folder of them.
    """
    model = run.parent / "best.npz"
    return [f"fnloop export {quote(str(run))} best {f'{quote(str(model))} --overwrite' if model.exists() else 'OUT.npz'}"]


def export_folder(folder: Path, out: Path, choose: Callable[[Run], Any], *, is_best: bool) -> None:
    """Write a state of each run of a folder as one ensemble, and print which.

    Args:
        folder: The folder.
        out: The checkpoint.
        choose: The function that returns the state of a run.
        is_best: Whether that is the best one.

    Raises:
        ValueError: If a run has no trainer, no such state, or another preprocessing than the first; or they do not predict
            the same. The message has the run file.
    """
    files = run_files(folder)
    runs = [open_run(file) for file in files]
    pairs = []
    for file, run in zip(files, runs, strict=True):
        if run.trainer is None or not same_bits(run.preprocessing, runs[0].preprocessing):
            what = "no trainer" if run.trainer is None else f"another preprocessing than {files[0].name}"
            raise ValueError(f"RUN must have runs of one table, but {short(str(file))} has {what}")
        try:
            pairs.append((run.trainer, choose(run)))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
    model = ensemble(pairs)
    save_model(model, runs[0].preprocessing, out)
    epochs = _counts([state.epoch for state in model.states])
    typer.echo(f"Wrote {out}: {pluralize(len(model), 'member')}, {'best ' if is_best else ''}epochs {epochs}")
    _tell_missing(folder)
    typer.echo(
        f"Next: fnloop predict {quote(str(out))} DATA{' --spread' if len(model) > 1 else ''}"
        if runs[0].preprocessing is not None
        else f"The runs have no preprocessing, so fnloop predict cannot use it; fl.load({str(out)!r}) reads it."
    )


def _counts(values: Sequence[int]) -> str:
    """Return numbers as the smallest and the largest."""
    return " to ".join(map(str, sorted({min(values), max(values)})))


def _endings(rows: Sequence[Row]) -> str:
    stopped = Counter(row.stopped for row in rows if row.stopped is not None)
    return "".join(f"; {count} stopped: {reason}" for reason, count in stopped.items())
