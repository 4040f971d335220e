"""`fnloop train`: from a table to a checkpoint, a picture, the metrics and a run file."""

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from fnloop import plots
from fnloop.cli.completion import complete_choice, complete_data, complete_path
from fnloop.cli.errors import naming_options
from fnloop.cli.format_values import format_metrics
from fnloop.cli.options import NoRecord, Overwrite
from fnloop.cli.output import check_folder
from fnloop.cli.results import output_paths, raise_failures, reserve_space, write_files, write_model, written_line
from fnloop.cli.run_file import new_run_file, next_commands, recorder, run_commands
from fnloop.cli.signals import deferring_signals
from fnloop.core.checks import PositiveInt, choice, integer
from fnloop.core.errors import NoBestError
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.data.table_split import TableSplit, split_table
from fnloop.data.tables import DATASET_NAMES, load_table
from fnloop.engines import get_engine
from fnloop.fitting import Fit, fit
from fnloop.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from fnloop.nn import mlp
from fnloop.optimizers import AdamW
from fnloop.runs.checkpoint import save
from fnloop.runs.files import replacing, write_figure
from fnloop.schedulers import SCHEDULERS, Scheduler, get_scheduler
from fnloop.training.early_stopping import EarlyStopping
from fnloop.training.evaluation import evaluate
from fnloop.training.state import StopReason, TrainState
from fnloop.training.trainer import Trainer

TASKS = "auto", "classification", "regression"
RUN = "training.run"
RESULTS = "best.npz", "training.png", "metrics.json"  # the checkpoint, the picture and the report

Echo = Callable[[str], None]


@frozen
class Options:
    """The options of `fnloop train` with their defaults; the help of the command says what each means."""

    target: str | None = None
    task: str = "auto"
    hidden: str = "64,64"
    lr: float = 0.003
    scheduler: str = "plateau"
    epochs: PositiveInt = 100
    batch_size: int = 16
    patience: int = 30
    weight_decay: float = 1.0
    test_fraction: float = 0.2
    validation_fraction: float = 0.2
    seed: int = 42
    engine: str = "numpy"


DEFAULTS = Options()


@naming_options(initial_lr="--lr", name="--scheduler", test="--test-fraction", validation="--validation-fraction")
def train(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help=f"A CSV file with a header, an .npz file with x and y, or a dataset: {', '.join(DATASET_NAMES)}.",
            autocompletion=complete_data,
        ),
    ],
    target: Annotated[str | None, typer.Option(help="Column to predict. Default: the last column.")] = DEFAULTS.target,
    task: Annotated[
        str,
        typer.Option(help="auto (chosen by the target), classification or regression.", autocompletion=complete_choice(TASKS)),
    ] = DEFAULTS.task,
    hidden: Annotated[str, typer.Option(help="Widths of the hidden layers, between commas.")] = DEFAULTS.hidden,
    lr: Annotated[float, typer.Option(help="Initial learning rate.")] = DEFAULTS.lr,
    scheduler: Annotated[
        str,
        typer.Option(help=f"Learning-rate schedule: {', '.join(SCHEDULERS)}.", autocompletion=complete_choice(SCHEDULERS)),
    ] = DEFAULTS.scheduler,
    epochs: Annotated[int, typer.Option(help="Maximum number of epochs.")] = DEFAULTS.epochs,
    batch_size: Annotated[int, typer.Option(help="Examples per batch.")] = DEFAULTS.batch_size,
    patience: Annotated[
        int, typer.Option(help="Epochs without improvement of val_loss before training stops.")
    ] = DEFAULTS.patience,
    weight_decay: Annotated[float, typer.Option(help="Decoupled weight decay.")] = DEFAULTS.weight_decay,
    test_fraction: Annotated[float, typer.Option(help="Fraction of the rows in the test set.")] = DEFAULTS.test_fraction,
    validation_fraction: Annotated[
        float, typer.Option(help="Fraction of the remaining rows in the validation set.")
    ] = DEFAULTS.validation_fraction,
    seed: Annotated[
        int, typer.Option(help="Seed of the split, the initial weights and the order of examples.")
    ] = DEFAULTS.seed,
    engine: Annotated[
        str,
        typer.Option(
            help="numpy, or jax (compiled); jax:gpu and the like select a device.",
            autocompletion=complete_choice(("numpy", "jax")),
        ),
    ] = DEFAULTS.engine,
    out: Annotated[
        Path, typer.Option("--out", help="Output folder; created if it does not exist.", autocompletion=complete_path)
    ] = Path("fnloop-out"),
    overwrite: Overwrite = False,
    no_record: NoRecord = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Train a classifier or a regression model on a table.

    The folder gets the best state as a checkpoint, a picture, the metrics and a run file of all states.
    """
    check_folder(out, RESULTS, overwrite, data)
    options = Options(
        target=target,
        task=task,
        hidden=hidden,
        lr=lr,
        scheduler=scheduler,
        epochs=epochs,
        batch_size=batch_size,
        patience=patience,
        weight_decay=weight_decay,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        seed=seed,
        engine=engine,
    )
    splits = read_splits(data, options)
    trainer = make_trainer(splits, options)
    out.mkdir(parents=True, exist_ok=True)
    train_and_write(splits, trainer, options, out, overwrite=overwrite, quiet=quiet, recorded=not no_record)


def read_splits(data: str, options: Options) -> TableSplit:
    """Read the data and split it into training, validation and test sets.

    Raises:
        ValueError: If an option or the data is invalid.
    """
    choice(*TASKS)("task", options.task)
    get_engine(options.engine)
    table, target = load_table(data, options.target)
    if target is None:
        raise ValueError(f"{data}: it must hold an array 'y' to train on")
    return split_table(
        table,
        target,
        task=None if options.task == "auto" else options.task,  # type: ignore[arg-type]
        test=options.test_fraction,
        validation=options.validation_fraction,
        seed=options.seed,
    )


def make_trainer(splits: TableSplit, options: Options) -> Trainer:
    """Return the trainer for a task and the options."""
    classes = len(splits.preprocessing.classes)
    loss = MeanSquaredError() if not classes else BinaryCrossEntropy() if classes == 2 else SoftmaxCrossEntropy()
    outputs = classes if classes > 2 else 1
    return Trainer(
        model=mlp([splits.train.x.shape[1], *_widths(options.hidden), outputs]),
        loss=loss,
        optimizer=AdamW(weight_decay=options.weight_decay),
        scheduler=make_scheduler(options.scheduler, options.lr, options.epochs, options.patience),
        early_stopping=EarlyStopping("val_loss", patience=options.patience),
        batch_size=options.batch_size,
        seed=options.seed,
    )


def _widths(hidden: str) -> list[int]:
    try:
        widths = [int(width) for width in hidden.split(",") if width.strip()]
    except ValueError:
        raise ValueError(f"--hidden must be integers between commas, such as 64,64, got {short(hidden)}") from None
    return [integer(1)("hidden", width) for width in widths]


def make_scheduler(name: str, lr: float, epochs: int, patience: int) -> Scheduler:
    """Return a schedule that fits a number of epochs.

    Args:
        name: The name of the schedule.
        lr: The initial learning rate.
        epochs: The number of epochs that `step` and `cosine` are spread over.
        patience: The patience of early stopping; `plateau` has half of it.
    """
    arguments: dict[str, dict[str, Any]] = {
        "step": {"step_size": max(1, epochs // 3)},
        "cosine": {"T_max": max(1, epochs)},
        "plateau": {"patience": max(1, patience // 2), "min_lr": min(1e-6, lr) if lr > 0 else 0.0},
    }
    return get_scheduler(name, lr, **arguments.get(name.lower(), {}))


def train_and_write(
    splits: TableSplit, trainer: Trainer, options: Options, out: Path, *, overwrite: bool, quiet: bool, recorded: bool
) -> None:
    """Train, test, and write the results.

    Raises:
        typer.Abort: If a signal ended the training; the results so far are written first.
        NoBestError: If no epoch has a finite loss.
        OSError: If a file could not be written.
    """
    echo: Echo = (lambda text: None) if quiet else typer.echo
    run, recording_line = new_run_file(out / RUN) if recorded else (None, "")
    echo("\n".join([describe_data(splits), *filter(None, [recording_line])]))
    with reserve_space(out, trainer, options.epochs):
        result = fit(
            trainer,
            splits.train,
            splits.validation,
            epochs=options.epochs,
            engine=options.engine,
            record=recorder(run, trainer, splits, engine=options.engine),
            progress=not quiet,
        )
    best = _best(result, run)
    with deferring_signals():  # everything is written before anything more is printed: the output may be closed
        files = model, picture, report = output_paths(out, RESULTS, overwrite)
        failures = write_model(model, partial(save, best, trainer=result.trainer, preprocessing=splits.preprocessing))
        test_metrics = evaluate(trainer, best, splits.test, engine=options.engine)
        write_plot = partial(write_figure, plots.training(result))
        failures |= write_files({report: partial(write_report, result, splits.task, test_metrics), picture: write_plot})
    interrupted = result.stop_reason == StopReason.INTERRUPTED.value
    echo("\n" + result.summary())
    echo(f"\ntest  {format_metrics(test_metrics)}")
    echo(f"\n{written_line(files, failures)}")
    raise_failures(failures)
    more_commands = run_commands(run, options.epochs if interrupted else None)
    echo(next_commands([f"fnloop predict {quote(str(model))} DATA", *more_commands]))
    if interrupted:
        raise typer.Abort


def _best(result: Fit, run: Path | None) -> TrainState:
    try:
        return result.best
    except NoBestError as error:
        hint = "" if run is None else f"; fnloop log {quote(str(run))} shows each epoch"
        raise NoBestError(f"{error}{hint}") from None


def describe_data(splits: TableSplit) -> str:
    """Return what the data was taken for, as two lines."""
    preprocessing = splits.preprocessing
    classes = preprocessing.classes
    shown = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
    kind = f"{len(classes)} classes: {shown}" if classes else "a quantity"
    counts = f"{len(splits.train)} rows to train, {len(splits.validation)} to validate, {len(splits.test)} to test"
    features = splits.train.x.shape[1]
    return f"{splits.task.capitalize()}: target {preprocessing.target!r} is {kind}.\n{counts}; {features} features."


def write_report(result: Fit, task: str, test_metrics: Mapping[str, float], path: Path) -> None:
    """Write the metrics as JSON; a number that is not finite is written as null."""
    report = {
        "task": task,
        "best_epoch": result.best.epoch,
        "stop_reason": result.stop_reason,
        "test": {name: _finite(value) for name, value in test_metrics.items()},
        "history": {name: [_finite(value) for value in column] for name, column in result.history.items()},
    }
    with replacing(path) as file:
        file.write((json.dumps(report, indent=1, allow_nan=False) + "\n").encode())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
