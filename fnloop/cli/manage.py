"""Commands that write or change a run file: `resume`, `fork`, `export`, `copy`, `prune`."""

import os
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from fnloop.cli.arguments import parse_epoch, parse_state
from fnloop.cli.completion import complete_choice, complete_path
from fnloop.cli.errors import naming_options
from fnloop.cli.fork_options import ForkOptions
from fnloop.cli.format_run import format_stop
from fnloop.cli.format_state import format_kept, format_place
from fnloop.cli.format_values import format_bytes, format_metrics
from fnloop.cli.options import STATE, RunFile, RunFiles, Step
from fnloop.cli.output import check_not_input
from fnloop.cli.run_file import next_commands
from fnloop.cli.run_folder import export_commands, export_folder, resume_folder
from fnloop.cli.train_options import DEFAULTS
from fnloop.core.checks import integer
from fnloop.core.display import short_call
from fnloop.core.formatting import short
from fnloop.runs.checkpoint import save
from fnloop.runs.positions import best_row
from fnloop.runs.reader import Reader
from fnloop.runs.run import Run, open_run
from fnloop.schedulers import SCHEDULERS
from fnloop.training.state import StopReason

# The option of `fnloop fork` to suggest for a run that stopped for a reason.
REMEDIES: dict[str, str] = {StopReason.NO_IMPROVEMENT: "--no-early-stopping", StopReason.NON_FINITE: "--clip 1.0"}


def resume(
    run: RunFiles,
    epochs: Annotated[int, typer.Option(help="Total number of epochs.")] = 100,
) -> None:
    """Continue a run as if it had never been interrupted, or all runs of a folder together.

    The states have the bits of an uninterrupted run. A run that has stopped by itself is unchanged.
    """
    integer(1)("--epochs", epochs)
    if run.is_dir():
        resume_folder(run, epochs)
    else:
        _resume(open_run(run), epochs)


@naming_options(initial_lr="--lr", name="--scheduler", max_norm="--clip", epoch="EPOCH", path="NEWRUN")
def fork(
    run: RunFile,
    epoch: Annotated[
        str, typer.Argument(metavar="EPOCH", help="The epoch that the new run starts from: a number, best or last.")
    ],
    new: Annotated[Path, typer.Argument(metavar="NEWRUN", help="The run file to create.", autocompletion=complete_path)],
    lr: Annotated[float | None, typer.Option(help="New initial learning rate.")] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help=f"New schedule, over --epochs or {DEFAULTS.epochs} epochs: {', '.join(SCHEDULERS)}.",
            autocompletion=complete_choice(SCHEDULERS),
        ),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples per batch.")] = None,
    patience: Annotated[int | None, typer.Option(help="Epochs without improvement before training stops.")] = None,
    no_early_stopping: Annotated[bool, typer.Option("--no-early-stopping", help="Train without early stopping.")] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of the order of examples from this epoch on.")] = None,
    clip: Annotated[float | None, typer.Option(help="Clip the gradient to this norm.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Decoupled weight decay.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Total number of epochs to train. Default: do not train.")] = None,
) -> None:
    """Start a new run from an epoch of a run.

    The options change its trainer. A new schedule or early stopping is in the state that it would be in if it had been used
    from the start.
    """
    opened = open_run(run)
    start = parse_epoch(opened, epoch)
    if epochs is not None and integer(1)("--epochs", epochs) <= start:
        raise ValueError(f"--epochs must be above the epoch that the fork starts from, {start}, got {epochs}")
    if epochs is not None and opened.monitor is None:
        raise ValueError(f"--epochs must be left out for a run of a custom step, which Python can resume, got {epochs}")
    if new.exists():
        raise ValueError(
            f"NEWRUN must be a new file, got {short(str(new))}, which exists; use fnloop resume to continue a run"
        )
    options = ForkOptions(lr, scheduler, batch_size, patience, no_early_stopping, seed, clip, weight_decay)
    changes = {}
    if opened.trainer is not None:
        changes = options.changes(opened.trainer, opened.validation is not None, epochs or DEFAULTS.epochs)
    forked = opened.fork(start, new, **changes)
    typer.echo(f"{new} starts from epoch {start} of {run}")
    for name, value in changes.items():
        typer.echo(f"  {name}: {short_call(getattr(opened.trainer, name))} -> {short_call(value)}")
    if "scheduler" in changes:
        typer.echo(f"  learning rate of the next epoch: {opened.state(start).lr:.4g} -> {forked.last.lr:.4g}")
    if epochs is not None:
        _resume(forked, epochs)
    else:
        typer.echo(f"Next: fnloop resume {quote(str(new))} --epochs {max(start + 1, DEFAULTS.epochs)}")


def _resume(run: Run, epochs: int) -> None:
    """Resume a run, and print how far it got.

    Raises:
        Abort: If Ctrl-C ended it; the message has the command that continues.
    """
    name, before = quote(str(run.path)), run.rows[-1]
    if run.stop_reason is not None:
        typer.echo(f"{run.path} is finished: {format_stop(before)}.")
        if run.stop_reason in REMEDIES:
            typer.echo(f"Next: fnloop fork {name} {before.epoch} NEWRUN {REMEDIES[run.stop_reason]}")
        return
    if before.epoch >= epochs:
        typer.echo(f"{run.path} has {before.epoch} epochs already; fnloop resume {name} --epochs N trains to N in total.")
        return
    try:
        run.resume(epochs)
    except KeyboardInterrupt:
        raise typer.Abort(
            f"interrupted; all epochs up to {run.rows[-1].epoch} are in {run.path}, "
            f"fnloop resume {name} --epochs {epochs} continues"
        ) from None
    last = run.rows[-1]
    first = before.epoch + 1
    trained = f"epochs {first} to {last.epoch}" if last.epoch > first else f"epoch {first}"
    if last.epoch < first:
        trained = "no epoch was finished"
    ending = f"; stopped: {last.stopped}" if last.stopped else ""
    typer.echo(f"{run.path}: {trained}{ending}")
    exports = export_commands(run.path) if (run.path.parent / "best.npz").exists() else []
    typer.echo(next_commands([f"fnloop log {name}", *exports]))


@naming_options(metric="--best", epoch="EPOCH", path="OUT")
def export(
    run: RunFiles,
    state_and_out: Annotated[
        list[str],
        typer.Argument(metavar="[EPOCH] OUT.npz", help=f"The state: {STATE}. Default: last. Then the file to write."),
    ],
    step: Step = None,
    best: Annotated[str | None, typer.Option(metavar="METRIC", help="Export the state with the best value of METRIC.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.npz if it exists.")] = False,
) -> None:
    """Write a state as a checkpoint, or those of a folder of runs as an ensemble.

    `fnloop predict` predicts from it, and `fl.load` reads it.
    """
    *states, out = state_and_out
    if len(states) > 1 or not out.endswith(".npz"):
        raise ValueError(f"the arguments after RUN must be [EPOCH] OUT.npz, got {short(' '.join(state_and_out))}")
    if best is not None and (states or step is not None):
        raise ValueError("--best cannot be combined with EPOCH or --step")
    opened = None if run.is_dir() else open_run(run)
    check_not_input("OUT", Path(out), RUN=run)
    if os.path.lexists(out) and not overwrite:
        raise FileExistsError(f"OUT must be a new file, or be replaced with --overwrite, got {short(out)}")
    text = states[0] if states else ("last" if step is None else "")

    def choose(run: Run) -> Any:
        return parse_state(run, text, step) if best is None else run.best(best)

    if opened is None:
        export_folder(run, Path(out), choose, is_best=best is not None or text == "best")
        return
    state = choose(opened)
    save(state, out, trainer=opened.trainer, preprocessing=opened.preprocessing)
    metric = best if best is not None else opened.monitor[0] if states == ["best"] and opened.monitor else None
    typer.echo(f"Wrote {out}: {format_place(opened.rows, state)}{'' if metric is None else f'; the best by {metric}'}")
    typer.echo(
        format_metrics(state.metrics) if state.metrics else "It has no metrics, which are measured at the end of an epoch."
    )
    if kept := format_kept(state):
        typer.echo(kept)
    typer.echo(
        f"Next: fnloop predict {quote(out)} DATA"
        if opened.preprocessing is not None
        else f"The run has no preprocessing, so fnloop predict cannot use it; fl.load_checkpoint({out!r}) reads it."
    )
    if not states and best is None and step is None:
        _suggest_best(opened, run, state.epoch)


def _suggest_best(opened: Run, run: Path, epoch: int) -> None:
    """Print how to export the best state, if that is not of the epoch that was exported by default."""
    best = best_row(Reader(run))
    if opened.monitor is not None and best is not None and best.epoch != epoch:
        typer.echo(
            f"      fnloop export {quote(str(run))} best OUT.npz writes epoch {best.epoch}, the best by {opened.monitor[0]}"
        )


@naming_options(path="NEWRUN")
def copy(
    run: RunFile,
    new: Annotated[Path, typer.Argument(metavar="NEWRUN", help="The run file to create.", autocompletion=complete_path)],
) -> None:
    """Copy a run to one whole file, also while it is recorded.

    The last epochs of a run that is recorded, or was killed, are in a second file, which ends in -wal.
    """
    if os.path.lexists(new):
        raise ValueError(f"NEWRUN must be a new file, got {short(str(new))}, which exists")
    copied = open_run(run).copy_to(new)
    typer.echo(f"Wrote {new}: {copied.rows[-1].epoch} epochs, {format_bytes(new.stat().st_size)}")


def prune(
    run: RunFile,
    keep: Annotated[int, typer.Option(help="Number of snapshots to keep, spread over the run.")],
) -> None:
    """Remove snapshots, which makes the file smaller.

    Every state can still be recovered; it is computed from an earlier snapshot.
    """
    integer(1)("--keep", keep)
    opened, size = open_run(run), run.stat().st_size
    snapshots = len(opened.snapshots)
    removed = opened.prune(keep)
    typer.echo(
        f"Removed {removed} of {snapshots} snapshots: {format_bytes(size)} -> {format_bytes(run.stat().st_size)}. "
        "The first, the last and the best are kept; every state can still be recovered."
    )
