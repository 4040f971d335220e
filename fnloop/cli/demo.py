"""`fnloop demo`: a run with early stopping, then four learning-rate schedules compared over sixteen seeds."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from statistics import fmean
from typing import Annotated, Any

import typer

from fnloop import plots
from fnloop.cli.completion import complete_path
from fnloop.cli.format_values import format_metrics
from fnloop.cli.options import NoRecord, Overwrite
from fnloop.cli.output import check_folder, free_folder, new_folder
from fnloop.cli.results import output_paths, raise_failures, reserve_space, write_files, write_model, written_line
from fnloop.cli.run_file import new_run_file, next_commands, recorder, run_commands
from fnloop.cli.signals import deferring_signals
from fnloop.data.datasets import lab
from fnloop.data.table_split import TableSplit
from fnloop.fitting import fit
from fnloop.losses import BinaryCrossEntropy
from fnloop.nn import mlp
from fnloop.populations.compare import compare
from fnloop.populations.comparison import Comparison
from fnloop.runs.checkpoint import save
from fnloop.runs.files import write_figure
from fnloop.schedulers import ReduceLROnPlateau, Scheduler, get_scheduler
from fnloop.training.early_stopping import EarlyStopping
from fnloop.training.evaluation import evaluate
from fnloop.training.state import StopReason
from fnloop.training.trainer import Trainer

FOLDER = Path("fnloop-demo")
RUN = "lab.run"
RESULTS = "best.npz", "training.png", "schedulers.png"  # the checkpoint and the two pictures

EPOCHS = 100  # maximum number of epochs of the first part
SEEDS = 16  # of each schedule
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "step": {"step_size": 20, "gamma": 0.5},
    "exponential": {"gamma": 0.95},
    "cosine": {"T_max": 50},
}


def demo(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Output folder. Default: fnloop-demo, or fnloop-demo-2 and so on if an earlier demo wrote there.",
            autocompletion=complete_path,
        ),
    ] = None,
    overwrite: Overwrite = False,
    no_record: NoRecord = False,
) -> None:
    """Train a classifier, then compare four learning-rate schedules over sixteen seeds.

    The first run is recorded and ends by early stopping. The folder gets its best state, a run file and two pictures.
    """
    folder = out or (FOLDER if overwrite else free_folder(FOLDER, RESULTS))
    check_folder(folder, RESULTS, overwrite)
    with new_folder(folder):
        run_demo(folder, overwrite, recorded=not no_record)


def first_trainer() -> Trainer:
    """Return the trainer of the first part."""
    return Trainer(
        model=mlp([10, 16, 12, 8, 1], activation="relu"),
        loss=BinaryCrossEntropy(),
        scheduler=ReduceLROnPlateau(0.01, metric="val_loss", factor=0.5, patience=5, min_lr=1e-6),
        early_stopping=EarlyStopping("val_loss", patience=15, min_delta=1e-4),
        batch_size=32,
        seed=42,
    )


def second_trainer(scheduler: Scheduler) -> Trainer:
    """Return the trainer of the comparison with one of its schedules.

    Args:
        scheduler: The schedule.
    """
    return Trainer(model=mlp([10, 12, 8, 1]), loss=BinaryCrossEntropy(), scheduler=scheduler, batch_size=32, seed=42)


def run_demo(out: Path, overwrite: bool, recorded: bool) -> None:
    """Run both parts and write their files.

    Args:
        out: The output folder, which exists.
        overwrite: Whether to replace result files.
        recorded: Whether to write a run file.

    Raises:
        Abort: If a signal ended one of the parts; what was computed before is written first.
        OSError: If a file could not be written.
    """
    data, trainer = lab(), first_trainer()
    run, recording_line = new_run_file(out / RUN) if recorded else (None, "No run file is written.")
    typer.echo(f"1. Training with early stopping: 10-16-12-8-1, {len(data.train)} examples. {recording_line}\n")
    with reserve_space(out, trainer, EPOCHS):
        result = fit(
            trainer,
            data.train,
            data.validation,
            epochs=EPOCHS,
            monitor="val_accuracy",
            record=recorder(run, data, monitor="val_accuracy"),
        )
    with deferring_signals():
        model, picture, comparison = output_paths(out, RESULTS, overwrite)
        failures = write_model(model, partial(save, result.best, trainer=result.trainer, preprocessing=data.preprocessing))
        failures |= write_files({picture: partial(write_figure, plots.training(result))})
    typer.echo("\n" + result.summary())
    typer.echo(f"\ntest  {format_metrics(evaluate(result.trainer, result.best, data.test))}")
    compared = None if result.stop_reason == StopReason.INTERRUPTED.value else compare_schedules(data)
    if compared is None:
        commands = run_commands(run, EPOCHS if result.stop_reason == StopReason.INTERRUPTED.value else None)
        typer.echo(f"\nInterrupted. {written_line([model, picture], failures)}")
        raise_failures(failures)
        typer.echo(next_commands(commands))
        raise typer.Abort
    tests = {name: [one.evaluate(data.test) for one in fits] for name, fits in compared.fits.items()}
    failures |= write_files({comparison: partial(write_figure, plots.comparison(compared.fits, tests))})
    typer.echo(f"\n{compared.summary()}\n\n{tests_line(tests, compared.best)}")
    typer.echo(f"\n{written_line([model, picture, comparison], failures)}")
    raise_failures(failures)
    typer.echo("Next: look at the pictures")
    commands = [f"fnloop predict {quote(str(model))} lab", *run_commands(run), "fnloop train breast_cancer"]
    typer.echo("\n".join(f"      {command}" for command in commands))
    if compared.interrupted:
        raise typer.Abort


def compare_schedules(data: TableSplit) -> Comparison | None:
    """Train with each schedule and seed; return None if a signal ended it before all had finished an epoch.

    Args:
        data: The data.
    """
    typer.echo(f"\n2. Four learning-rate schedules, {SEEDS} seeds each, in one fold: 10-12-8-1, 50 epochs\n")
    trainers = {name: second_trainer(get_scheduler(name, 0.01, **parameters)) for name, parameters in SCHEDULES.items()}
    try:
        return compare(trainers, data.train, data.validation, seeds=SEEDS, epochs=50)
    except KeyboardInterrupt:
        return None


def tests_line(tests: Mapping[str, Sequence[Mapping[str, float]]], best: str) -> str:
    """Return the sentences that name the best schedule, and report the test set.

    Args:
        tests: The metrics of each schedule on the test set, for each seed.
        best: The best schedule by validation.
    """
    shown = ", ".join(f"{name} {fmean(test['accuracy'] for test in of_seeds):.4f}" for name, of_seeds in tests.items())
    return f"Best: {best}. Mean test accuracy, which is not used to choose: {shown}."
