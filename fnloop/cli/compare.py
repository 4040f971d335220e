"""`fnloop compare`: learning-rate schedules on a table, over many seeds."""

import csv
import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fnloop.cli.errors import naming_options
from fnloop.cli.format_values import format_metrics
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
    TargetOption,
    TaskOption,
    TestFractionOption,
    ValidationFractionOption,
    WeightDecayOption,
)
from fnloop.cli.options import Overwrite
from fnloop.cli.output import check_folder
from fnloop.cli.results import output_paths, raise_failures, write_files, written_line
from fnloop.cli.signals import deferring_signals
from fnloop.cli.table_options import TableOptions, with_table_options
from fnloop.cli.train import describe_data
from fnloop.cli.train_options import DEFAULTS, TrainOptions, check_options, make_trainer, read_splits
from fnloop.core.checks import integer
from fnloop.core.formatting import short
from fnloop.populations.compare import compare as compare_trainers
from fnloop.populations.comparison import Comparison
from fnloop.runs.files import replacing, write_figure
from fnloop.schedulers import SCHEDULERS

if TYPE_CHECKING:
    import pandas as pd

RESULTS = "comparison.png", "comparison.csv"  # the picture, and the value of each run


@naming_options(name="--schedulers", **OPTION_NAMES)
@with_table_options
def compare(
    data: DataArgument,
    schedulers: Annotated[
        str, typer.Option(help=f"Two or more learning-rate schedules, between commas: {', '.join(SCHEDULERS)}.")
    ] = "constant,step,cosine",
    seeds: Annotated[int, typer.Option(help="Number of seeds of each schedule: 0, 1, 2 and so on.")] = 16,
    metric: Annotated[str | None, typer.Option(help="Metric to compare, such as val_accuracy. Default: val_loss.")] = None,
    target: TargetOption = DEFAULTS.target,
    task: TaskOption = DEFAULTS.task,
    hidden: HiddenOption = DEFAULTS.hidden,
    lr: RateOption = DEFAULTS.lr,
    epochs: EpochsOption = DEFAULTS.epochs,
    batch_size: BatchSizeOption = DEFAULTS.batch_size,
    patience: PatienceOption = DEFAULTS.patience,
    weight_decay: WeightDecayOption = DEFAULTS.weight_decay,
    test_fraction: TestFractionOption = DEFAULTS.test_fraction,
    validation_fraction: ValidationFractionOption = DEFAULTS.validation_fraction,
    seed: Annotated[int, typer.Option(help="Seed of the split of the rows.")] = DEFAULTS.seed,
    engine: EngineOption = DEFAULTS.engine,
    table: TableOptions = TableOptions(),  # noqa: B008
    out: OutFolder = Path("fnloop-compare"),
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Compare learning-rate schedules on a table, each with the same seeds.

    It prints the mean and the spread over the seeds, and for each schedule whether it differs from the best one at 95 %. The
    folder gets a picture, and a table of the best value of each run. Ctrl-C compares the runs as far as all have trained.
    """
    check_folder(out, RESULTS, overwrite, data)
    names = _names(schedulers)
    options = [
        TrainOptions(
            target=target,
            task=task,
            hidden=hidden,
            lr=lr,
            scheduler=name,
            epochs=epochs,
            batch_size=batch_size,
            patience=patience,
            weight_decay=weight_decay,
            test_fraction=test_fraction,
            validation_fraction=validation_fraction,
            seed=seed,
            engine=engine,
        )
        for name in names
    ]
    integer(1)("seeds", seeds)
    for one in options:
        check_options(one)
    splits = read_splits(data, options[0], table)
    trainers = {name: make_trainer(splits, one) for name, one in zip(names, options, strict=True)}
    if not quiet:
        typer.echo(f"{describe_data(splits)}\n")
    result = compare_trainers(
        trainers,
        splits.train,
        splits.validation,
        seeds=seeds,
        epochs=epochs,
        metric=metric,
        engine=engine,
        progress=not quiet,
    )
    with deferring_signals():
        tests = result.evaluate(splits.test, engine=engine)
        out.mkdir(parents=True, exist_ok=True)
        picture, values = output_paths(out, RESULTS, overwrite)
        failures = write_files({values: partial(_write_runs, result, tests), picture: partial(write_figure, result.plot())})
    if not quiet:
        typer.echo(f"\n{result.summary()}\n\n{_tests_lines(tests)}\n\n{written_line([picture, values], failures)}")
    raise_failures(failures)
    if result.interrupted:
        raise typer.Abort


def _names(schedulers: str) -> list[str]:
    names = [name.strip() for name in schedulers.split(",") if name.strip()]
    if len(names) < 2:
        raise ValueError(f"schedulers must be two or more names, such as constant,cosine, got {short(schedulers)}")
    if len(set(names)) < len(names):
        raise ValueError(f"schedulers must all differ, got {short(schedulers)}")
    return names


def _tests_lines(tests: "pd.DataFrame") -> str:
    """Return the means of the metrics of the test set, a line for each schedule."""
    means = tests.groupby("trainer", sort=False).mean()
    width = max(map(len, means.index))
    lines = [f"{name:{width}}  {format_metrics(row)}" for name, row in zip(means.index, means.to_dict("records"), strict=True)]
    return "\n".join(["test, not used to choose: means over the seeds", *lines])


def _write_runs(result: Comparison, tests: "pd.DataFrame", path: Path) -> None:
    """Write a row for each run: its schedule and seed, the best epoch, and its metrics there and on the test set."""
    rows: list[dict[str, Any]] = []
    for name in result.ranked:
        for seed, fit in zip(result.seeds, result.fits[name], strict=True):
            run = {"scheduler": name, "seed": seed, "ended": fit.stop_reason}
            if fit.best_state is not None:
                on_test = {f"test_{metric}": value for metric, value in tests.loc[(name, seed)].items()}
                run |= {"best_epoch": fit.best.epoch, **fit.best.metrics, **on_test}
            rows.append(run)
    columns = dict.fromkeys(column for row in rows for column in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path) as file:
        file.write(text.getvalue().encode())
