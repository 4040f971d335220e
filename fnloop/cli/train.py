"""`fnloop train`: from a table to a checkpoint, a picture, the metrics and a run file."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from fnloop import plots
from fnloop.cli.errors import as_options, naming_options
from fnloop.cli.format_values import format_metrics
from fnloop.cli.members import is_interrupted, new_record, run_of, summary_of, train_members
from fnloop.cli.model_options import (
    OPTION_NAMES,
    BatchSizeOption,
    DataArgument,
    EngineOption,
    EpochsOption,
    HiddenOption,
    OutFolder,
    PatienceOption,
    Quiet,
    RateOption,
    SchedulerOption,
    TargetOption,
    TaskOption,
    TestFractionOption,
    ValidationFractionOption,
    WeightDecayOption,
)
from fnloop.cli.options import NoRecord, Overwrite
from fnloop.cli.output import check_folder, new_folder
from fnloop.cli.refit import train_again
from fnloop.cli.report import write_report
from fnloop.cli.results import (
    output_paths,
    raise_failures,
    reserve_space,
    save_model,
    write_files,
    write_model,
    written_line,
)
from fnloop.cli.run_file import next_commands, run_commands
from fnloop.cli.signals import deferring_signals
from fnloop.cli.table_options import TableOptions, with_table_options
from fnloop.cli.train_options import DEFAULTS, TrainOptions, check_options, make_trainer, read_splits
from fnloop.core.display import pluralize
from fnloop.core.errors import NoBestError
from fnloop.core.formatting import cut_end, short
from fnloop.core.records import evolve
from fnloop.data.table_split import TableSplit
from fnloop.fitting import Fit
from fnloop.populations.ensemble import ensemble
from fnloop.populations.results import Sweep
from fnloop.runs.files import write_figure
from fnloop.training.ensemble import Ensemble
from fnloop.training.table_scores import score_table
from fnloop.training.trainer import Trainer

RESULTS = "best.npz", "training.png", "metrics.json"  # the checkpoint, the picture and the report

Echo = Callable[[str], None]


@naming_options(name="--scheduler", **OPTION_NAMES)
@with_table_options
def train(
    data: DataArgument,
    target: TargetOption = DEFAULTS.target,
    task: TaskOption = DEFAULTS.task,
    hidden: HiddenOption = DEFAULTS.hidden,
    lr: RateOption = DEFAULTS.lr,
    scheduler: SchedulerOption = DEFAULTS.scheduler,
    epochs: EpochsOption = DEFAULTS.epochs,
    batch_size: BatchSizeOption = DEFAULTS.batch_size,
    patience: PatienceOption = DEFAULTS.patience,
    weight_decay: WeightDecayOption = DEFAULTS.weight_decay,
    test_fraction: TestFractionOption = DEFAULTS.test_fraction,
    validation_fraction: ValidationFractionOption = DEFAULTS.validation_fraction,
    seed: Annotated[
        int, typer.Option(help="Seed of the split, the initial weights and the order of examples.")
    ] = DEFAULTS.seed,
    engine: EngineOption = DEFAULTS.engine,
    table: TableOptions = TableOptions(),  # noqa: B008
    members: Annotated[
        int, typer.Option(help="Number of models, of consecutive seeds, that train together and predict by their mean.")
    ] = DEFAULTS.members,
    refit: Annotated[
        bool, typer.Option("--refit", help="At the end train on the validation rows too, for the epochs that they chose.")
    ] = DEFAULTS.refit,
    out: OutFolder = Path("fnloop-out"),
    overwrite: Overwrite = False,
    no_record: NoRecord = False,
    quiet: Quiet = False,
) -> None:
    """Train a classifier or a regression model on a table.

    The folder gets the best state as a checkpoint, a picture, the metrics and a run file of all states; of several members the
    best state of each, and a folder of run files.
    """
    check_folder(out, RESULTS, overwrite, data)
    options = TrainOptions(
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
        refit=refit,
        members=members,
    )
    check_options(options)
    splits = read_splits(data, options, table)
    trainer = make_trainer(splits, options)
    with new_folder(out):
        train_and_write(splits, trainer, options, out, overwrite=overwrite, quiet=quiet, recorded=not no_record)


def train_and_write(
    splits: TableSplit, trainer: Trainer, options: TrainOptions, out: Path, *, overwrite: bool, quiet: bool, recorded: bool
) -> None:
    """Train, test, and write the results.

    Args:
        splits: The data.
        trainer: The trainer.
        options: The options.
        out: The output folder, which exists.
        overwrite: Whether to replace result files.
        quiet: Whether to print nothing.
        recorded: Whether to write a run file.

    Raises:
        Abort: If a signal ended the training; the results so far are written first.
        NoBestError: If no epoch has a finite loss.
        OSError: If a file could not be written.
    """
    echo: Echo = (lambda text: None) if quiet else typer.echo
    record, recording_line = new_record(out, options.members) if recorded else (None, "")
    echo("\n".join([describe_data(splits), *filter(None, [recording_line])]))
    with reserve_space(out, trainer, options.epochs, options.members):
        results = train_members(splits, trainer, options, record=record, progress=not quiet)
    leading = _best(results, record)
    interrupted, fits = is_interrupted(results), [result for result in results if result.best_state is not None]
    if options.refit and not interrupted:
        model = ensemble([train_again(result, splits, options.engine) for result in fits])
        again = ", ".join(pluralize(state.epoch, "epoch") for _, state in model)
        echo(f"\nTrained again on the training and validation rows, {again}.")
    else:
        model = ensemble(fits)
    checkpoint = write_results(splits, model, fits, leading, options, out, overwrite=overwrite, echo=echo)
    run = run_of(record, options.members, [result is leading for result in results].index(True))
    more_commands = run_commands(run, options.epochs if interrupted else None, record)
    spread = " --spread" if len(model) > 1 else ""
    echo(next_commands([f"fnloop predict {quote(str(checkpoint))} DATA{spread}", *more_commands]))
    if interrupted:
        raise typer.Abort


def write_results(
    splits: TableSplit,
    model: Ensemble,
    fits: Sequence[Fit],
    leading: Fit,
    options: TrainOptions,
    out: Path,
    *,
    overwrite: bool,
    echo: Echo,
) -> Path:
    """Test a model, write the result files, print the scores, and return the path of the checkpoint.

    Args:
        splits: The data.
        model: The model.
        fits: The results of its members.
        leading: The best of them.
        options: The options.
        out: The output folder.
        overwrite: Whether to replace result files.
        echo: The function that prints.

    Raises:
        OSError: If a file could not be written.
    """
    with deferring_signals():  # everything is written before anything more is printed: the output may be closed
        files = checkpoint, picture, report = output_paths(out, RESULTS, overwrite)
        failures = write_model(checkpoint, partial(save_model, model, splits.preprocessing))
        test_metrics = model.evaluate(splits.test, engine=options.engine)
        scores = score_table(model, splits, seed=options.seed, engine=options.engine)
        write_plot = partial(write_figure, plots.training(leading))
        failures |= write_files({report: partial(write_report, fits, splits, test_metrics, scores), picture: write_plot})
    echo("\n" + summary_of(fits))
    echo(f"\ntest  {format_metrics(test_metrics)}\n\n{scores}")
    echo(f"\n{written_line(files, failures)}")
    raise_failures(failures)
    return checkpoint


def _best(results: Sweep, record: Path | None) -> Fit:
    """Return the result of the best member."""
    try:
        if len(results) == 1:
            results[0].best  # noqa: B018
        return results.best()
    except NoBestError as error:
        run = run_of(record, len(results), 0)
        hint = "" if run is None else f"; fnloop log {quote(str(run))} shows each epoch"
        raise NoBestError(f"{error}{hint}") from None


def describe_data(splits: TableSplit) -> str:
    """Return what the data was taken for: the schema, a line for each column, the target and the parts.

    Args:
        splits: The data.
    """
    preprocessing = splits.preprocessing
    classes, column = preprocessing.classes, preprocessing.schema.target
    shown = ", ".join(cut_end(str(name), 40) for name in classes[:10]) + (", ..." if len(classes) > 10 else "")
    kind = f"{len(classes)} classes: {shown}" if classes else "a quantity"
    counts = f"{len(splits.train)} rows to train, {len(splits.validation)} to validate, {len(splits.test)} to test"
    features = splits.train.x.shape[1]
    notes = "".join(f"  note: {note}\n" for note in (*(column.notes if column else ()), *splits.notes))
    target = f"{splits.task.capitalize()}: target {short(preprocessing.target)} is {kind}."
    columns = evolve(preprocessing.schema, target=None)
    return as_options(f"{columns}\n{target}\n{notes}{counts}; {features} features.")
