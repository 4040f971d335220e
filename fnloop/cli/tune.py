"""`fnloop tune`: a search for the hyperparameters of a table, and the best model as a checkpoint."""

from functools import partial
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from fnloop.cli.completion import complete_choice
from fnloop.cli.errors import naming_options
from fnloop.cli.model_options import (
    OPTION_NAMES,
    BatchSizeOption,
    DataArgument,
    EngineOption,
    EpochsOption,
    OutFolder,
    PatienceOption,
    Quiet,
    SchedulerOption,
    TargetOption,
    TaskOption,
    TestFractionOption,
    ValidationFractionOption,
)
from fnloop.cli.options import Overwrite
from fnloop.cli.output import check_folder, new_folder
from fnloop.cli.results import reserve_space
from fnloop.cli.run_file import next_commands, this_command
from fnloop.cli.signals import deferring_signals
from fnloop.cli.table_options import TableOptions, with_table_options
from fnloop.cli.train import RESULTS, Echo, describe_data, write_results
from fnloop.cli.train_options import DEFAULTS, TrainOptions, check_options, make_trainer, read_splits
from fnloop.core.checks import choice, integer
from fnloop.core.display import pluralize
from fnloop.core.records import evolve
from fnloop.data.table_split import TableSplit
from fnloop.populations.ensemble import ensemble
from fnloop.populations.search import search
from fnloop.populations.search_results import Search
from fnloop.populations.spaces import log_uniform, one_of
from fnloop.populations.studies import PRUNERS, import_optuna, make_storage
from fnloop.recipes.table import MANY_ROWS, choose_decay
from fnloop.runs.files import free_path, replacing
from fnloop.training.trainer import Trainer

TRIALS, RUNS = "trials.csv", "trials.runs"
FILES = *RESULTS, TRIALS
SHOWN = 10  # trials of the table that is printed
RATES = log_uniform(1e-3, 0.05)
WIDTHS = one_of((32, 64, 128))


@naming_options(name="--scheduler", **OPTION_NAMES)
@with_table_options
def tune(
    data: DataArgument,
    trials: Annotated[int, typer.Option(help="Number of trials in total; those of the storage count.")] = 100,
    target: TargetOption = DEFAULTS.target,
    task: TaskOption = DEFAULTS.task,
    hidden: Annotated[
        str | None, typer.Option(help="Widths of the hidden layers, between commas. Default: searched, 32, 64 or 128 each.")
    ] = DEFAULTS.hidden,
    lr: Annotated[float | None, typer.Option(help="Initial learning rate. Default: searched.")] = DEFAULTS.lr,
    scheduler: SchedulerOption = DEFAULTS.scheduler,
    epochs: EpochsOption = DEFAULTS.epochs,
    batch_size: BatchSizeOption = DEFAULTS.batch_size,
    patience: PatienceOption = DEFAULTS.patience,
    weight_decay: Annotated[
        float | None, typer.Option(help="Decoupled weight decay. Default: searched.")
    ] = DEFAULTS.weight_decay,
    test_fraction: TestFractionOption = DEFAULTS.test_fraction,
    validation_fraction: ValidationFractionOption = DEFAULTS.validation_fraction,
    seed: Annotated[
        int, typer.Option(help="Seed of the split, the weights, the order of examples and the search.")
    ] = DEFAULTS.seed,
    engine: EngineOption = DEFAULTS.engine,
    table: TableOptions = TableOptions(),  # noqa: B008
    pruner: Annotated[
        str,
        typer.Option(
            help=f"How trials end early: none, {', '.join(PRUNERS)}.", autocompletion=complete_choice(("none", *PRUNERS))
        ),
    ] = "hyperband",
    storage: Annotated[
        str | None,
        typer.Option(
            help="Where the trials are kept, to resume the search: a file, or the URL of a database. Default: nowhere."
        ),
    ] = None,
    out: OutFolder = Path("fnloop-out"),
    record: Annotated[bool, typer.Option("--record", help="Write a run file of each trial.")] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Search the learning rate, the weight decay and the widths of a model of a table.

    The trials train together. What an option states is not searched. The folder gets the best model as a checkpoint, a picture
    of its training, the metrics and a table of all trials.
    """
    check_folder(out, FILES, overwrite, data)
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
    )
    check_options(options)
    integer(1)("trials", trials)
    choice("none", *PRUNERS)("pruner", pruner)
    import_optuna()
    make_storage(storage)
    splits = read_splits(data, options, table)
    space = space_of(splits, options)
    echo: Echo = (lambda text: None) if quiet else typer.echo
    echo(f"{describe_data(splits)}\nSearching {', '.join(space)} in {pluralize(trials, 'trial')} of {epochs} epochs.")
    with new_folder(out):
        runs = out / RUNS if storage else free_path(out / RUNS)  # a search that is resumed adds to its folder
        with reserve_space(out, make_trainer(splits, options), epochs):
            found = search(
                partial(trainer_of, splits, options),
                splits.train,
                splits.validation,
                trials=trials,
                epochs=epochs,
                pruner=None if pruner == "none" else pruner,
                storage=storage,
                seed=seed,
                engine=engine,
                record=runs if record else None,
                preprocessing=splits.preprocessing,
                progress=not quiet,
                **space,
            )
        with deferring_signals(), replacing(out / TRIALS) as file:
            file.write(found.table().to_csv().encode())
    echo(f"\n{table_of(found)}")
    model = ensemble([found.best])
    checkpoint = write_results(splits, model, [found.best], found.best, options, out, overwrite=overwrite, echo=echo)
    echo(f"All trials are in {out / TRIALS}.")
    if found.interrupted and storage is None:
        echo("The search cannot be resumed: its trials are kept only with --storage FILE.")
    resume = [this_command("--overwrite")] if found.interrupted and storage is not None else []
    echo(next_commands([*resume, f"fnloop predict {quote(str(checkpoint))} DATA"]))
    if found.interrupted:
        raise typer.Abort


def space_of(splits: TableSplit, options: TrainOptions) -> dict[str, Any]:
    """Return the distributions of the hyperparameters that the options do not state.

    Args:
        splits: The data.
        options: The options.

    Raises:
        ValueError: If they state all.
    """
    decay = choose_decay(len(splits.train), make_trainer(splits, options).batch_size)
    space = {
        "lr": RATES,
        "weight_decay": log_uniform(decay / 30, min(4.0, 3 * decay)),  # around the value of the recipe
        "hidden": WIDTHS,
    }
    free = {name: distribution for name, distribution in space.items() if getattr(options, name) is None}
    if not free:
        raise ValueError("--lr, --weight-decay and --hidden are all stated, which leaves nothing to search; leave one out")
    return free


def trainer_of(splits: TableSplit, options: TrainOptions, hidden: int | None = None, **values: Any) -> Trainer:
    """Return the trainer of a trial.

    Args:
        splits: The data.
        options: The options, which state what is not searched.
        hidden: The width of the hidden layers, if it is searched.
        values: The other hyperparameters that are searched.
    """
    depth = 2 if len(splits.train) < MANY_ROWS else 3
    widths = options.hidden if hidden is None else ",".join([str(hidden)] * depth)
    return make_trainer(splits, evolve(options, hidden=widths, **values))


def table_of(found: Search) -> str:
    """Return the best trials as lines.

    Args:
        found: The result of the search.
    """
    table = found.table()
    complete = table[table["ended"] == "complete"].drop(columns=["ended"])
    repeated = complete.duplicated(list(found.study.best_trial.params))
    shown = complete[~repeated].head(SHOWN).reset_index()
    return str(shown.to_string(index=False, float_format="{:.4g}".format))
