"""Commands that make something of a run file: `resume`, `fork`, `export`, `prune`."""

import os
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from fnloop.cli import format as text
from fnloop.cli import train as job
from fnloop.cli.arguments import check_other, epoch_at, state_at
from fnloop.cli.changes import Changes
from fnloop.cli.inspect import PLACE, RunFile
from fnloop.cli.options import naming_options, one_of, paths
from fnloop.cli.values import size_of, values
from fnloop.core.checks import integer
from fnloop.core.display import short_call
from fnloop.core.formatting import short
from fnloop.runs.checkpoint import save
from fnloop.runs.run import Run, open_run
from fnloop.schedulers import SCHEDULERS


def resume(
    run: RunFile,
    epochs: Annotated[int, typer.Option(help="Epochs in all.")] = 100,
) -> None:
    """Go on with a run, as if it had never been interrupted."""
    integer(1)("--epochs", epochs)
    _resume(open_run(run), epochs)


@naming_options(initial_lr="--lr", name="--scheduler", max_norm="--clip", epoch="EPOCH", path="NEWRUN")
def fork(
    run: RunFile,
    epoch: Annotated[str, typer.Argument(metavar="EPOCH", help="Epochs finished where it branches off; or best, or last.")],
    new: Annotated[Path, typer.Argument(metavar="NEWRUN", help="The run file to make.", autocompletion=paths)],
    lr: Annotated[float | None, typer.Option(help="Another initial learning rate.")] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help=f"Another schedule, over --epochs: {', '.join(SCHEDULERS)}.", autocompletion=one_of(SCHEDULERS)),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples in a batch.")] = None,
    patience: Annotated[int | None, typer.Option(help="Epochs without improvement before it stops.")] = None,
    no_early_stopping: Annotated[bool, typer.Option("--no-early-stopping", help="Never stop it for that.")] = False,
    seed: Annotated[int | None, typer.Option(help="Of the order of examples from here on.")] = None,
    clip: Annotated[float | None, typer.Option(help="Shorten gradients to this norm.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Decoupled weight decay.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Train it until there are so many in all.")] = None,
) -> None:
    """Begin a new run from any epoch of a run.

    What is given is changed in its trainer, and stands where it would had it been so from the start."""
    opened = open_run(run)
    place = epoch_at(opened, epoch)
    if epochs is not None and integer(1)("--epochs", epochs) <= place:
        raise ValueError(f"--epochs must be above the epoch that the fork begins with, {place}, got {epochs}")
    if new.exists():
        raise ValueError(
            f"NEWRUN must be a file that is not there yet, got {short(str(new))}; fnloop resume goes on with a run"
        )
    said = Changes(lr, scheduler, batch_size, patience, no_early_stopping, seed, clip, weight_decay)
    changes = {}
    if opened.trainer is not None:
        changes = said.of(opened.trainer, opened.validation is not None, epochs or job.Options().epochs)
    forked = opened.fork(place, new, **changes)
    typer.echo(f"{new} begins with epoch {place} of {run}")
    for name, value in changes.items():
        typer.echo(f"  {name}: {short_call(getattr(opened.trainer, name))} -> {short_call(value)}")
    if "scheduler" in changes:
        typer.echo(f"  the next epoch is trained at lr {forked.last.lr:.4g}, was {opened.state(place).lr:.4g}")
    if epochs is not None:
        _resume(forked, epochs)
    else:
        typer.echo(f"Next: fnloop resume {quote(str(new))} --epochs {max(place + 1, job.Options().epochs)}")


def _resume(run: Run, epochs: int) -> None:
    """Train to so many epochs in all; Ctrl-C is one line that says what there is."""
    name, before = quote(str(run.path)), run.rows[-1]
    if run.stop_reason is not None:
        typer.echo(f"{run.path} is finished: {run.stop_reason}, after epoch {before.epoch}.")
        typer.echo(f"Next: fnloop fork {name} {before.epoch} NEWRUN --no-early-stopping")
        return
    if before.epoch >= epochs:
        typer.echo(f"{run.path} has {before.epoch} epochs already; fnloop resume {name} --epochs N goes on to N in all.")
        return
    try:
        run.resume(epochs)
    except KeyboardInterrupt:
        raise typer.Abort(
            f"interrupted; all up to epoch {run.rows[-1].epoch} is in {run.path}, "
            f"fnloop resume {name} --epochs {epochs} goes on"
        ) from None
    last = run.rows[-1]
    ended = f"; stopped: {last.stopped}" if last.stopped else ""
    typer.echo(f"{run.path}: epochs {before.epoch + 1} to {last.epoch}{ended}")
    typer.echo(f"Next: fnloop log {name}")


@naming_options(metric="--best", epoch="EPOCH", path="OUT")
def export(
    run: RunFile,
    where: Annotated[
        list[str],
        typer.Argument(metavar="[EPOCH] OUT.npz", help=f"The file to write, and before it, if not the last, {PLACE}."),
    ],
    step: Annotated[int | None, typer.Option(help="Steps taken in all, for a state within an epoch.")] = None,
    best: Annotated[str | None, typer.Option(metavar="METRIC", help="The state with the best value of a metric.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.npz if it is there already.")] = False,
) -> None:
    """Write a state as a checkpoint, to predict from or to load."""
    *places, target = where
    if len(places) > 1 or not target.endswith(".npz"):
        raise ValueError(f"behind RUN must stand [EPOCH] OUT.npz, got {short(' '.join(where))}")
    if best is not None and (places or step is not None):
        raise ValueError("--best must stand alone, without EPOCH and --step")
    opened = open_run(run)
    check_other("OUT", Path(target), RUN=run)
    if os.path.lexists(target) and not overwrite:
        raise FileExistsError(
            f"OUT must be a file that is not there yet, or is replaced with --overwrite, got {short(target)}"
        )
    if best is not None:
        state = opened.best(best)
    else:
        state = state_at(opened, places[0] if places else ("last" if step is None else ""), step)
    save(state, target, trainer=opened.trainer, preprocessing=opened.preprocessing)
    typer.echo(f"Wrote {target}: {text.step_in(opened.rows, state)}")
    if state.metrics:
        typer.echo(values(state.metrics))
    typer.echo(
        f"Next: fnloop predict {quote(target)} DATA"
        if opened.preprocessing is not None
        else f"The run has no preprocessing, so it is for fl.load_checkpoint({target!r})."
    )


def prune(
    run: RunFile,
    keep: Annotated[int, typer.Option(help="Whole states to keep, spread over the run.")],
) -> None:
    """Make the file smaller; every state can still be had again."""
    integer(1)("--keep", keep)
    opened, before = open_run(run), run.stat().st_size
    there = len(opened.snapshots)
    gone = opened.prune(keep)
    typer.echo(
        f"Took away {gone} of {there} whole states: {size_of(before)} -> {size_of(run.stat().st_size)}. "
        "The first, the last and the best stay; all others can still be had again."
    )
