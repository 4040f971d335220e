"""The options of `fnloop train`, and the data and the trainer that they define."""

from typing import Any

import numpy as np

from fnloop.cli.table_options import TableOptions
from fnloop.core.checks import PositiveInt, choice, integer, real
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.data.dataset import Dataset
from fnloop.data.reading import read_table
from fnloop.data.table_split import TableSplit, split_table
from fnloop.engines import get_engine
from fnloop.recipes import tabular
from fnloop.schedulers import Scheduler, get_scheduler
from fnloop.training.early_stopping import EarlyStopping
from fnloop.training.trainer import Trainer

TASKS = "auto", "classification", "regression"


@frozen
class TrainOptions:
    """The options of `fnloop train`.

    Args:
        target: Name of the column to predict; None for the last column.
        task: `"classification"`, `"regression"`, or `"auto"`, which chooses by the target.
        hidden: Widths of the hidden layers, between commas; None for those of `recipes.tabular`.
        lr: Initial learning rate; None for that of the recipe.
        scheduler: Name of the schedule.
        epochs: Maximum number of epochs.
        batch_size: Examples per batch; None for that of the recipe.
        patience: Epochs without improvement of `val_loss` before training stops; None to train for all epochs.
        weight_decay: Decoupled weight decay; None for that of the recipe.
        test_fraction: Fraction of the rows in the test set.
        validation_fraction: Fraction of the remaining rows in the validation set.
        seed: Seed of the split, the initial weights and the order of examples.
        engine: Name of the engine.
        refit: Whether to train on the validation rows too, at the end.
        members: The number of models, of consecutive seeds, that predict by their mean.
    """

    target: str | None = None
    task: str = "auto"
    hidden: str | None = None
    lr: float | None = None
    scheduler: str = "cosine"
    epochs: PositiveInt = 100
    batch_size: int | None = None
    patience: int | None = None
    weight_decay: float | None = None
    test_fraction: float = 0.2
    validation_fraction: float = 0.2
    seed: int = 42
    engine: str = "numpy"
    refit: bool = False
    members: PositiveInt = 1


DEFAULTS = TrainOptions()


def check_options(options: TrainOptions) -> None:
    """Check the options that do not depend on the data, before it is read.

    Args:
        options: The options.

    Raises:
        ValueError: If one is invalid. The message has its name and value.
    """
    choice(*TASKS)("task", options.task)
    get_engine(options.engine)
    real("(0, 1)")("test", options.test_fraction)
    real("(0, 1)")("validation", options.validation_fraction)
    integer(0, 2**32)("seed", options.seed)
    _trainer(options, Dataset(np.zeros((1, 1)), np.zeros(1)), 0)


def read_splits(data: str, options: TrainOptions, table_options: TableOptions | None = None) -> TableSplit:
    """Read the data and split it into training, validation and test sets.

    Args:
        data: A file, or the name of a dataset.
        options: The options.
        table_options: The options of the table.

    Raises:
        ValueError: If an option or the data is invalid.
    """
    wanted = table_options or TableOptions()
    table = read_table(data, wanted.format, wanted.text_columns(options.target, options.task))
    if data.endswith(".npz") and options.target is None and table.target is None:
        raise ValueError(f"{data}: it must hold an array 'y' to train on")
    return split_table(
        table,
        options.target,
        task=None if options.task == "auto" else options.task,  # type: ignore[arg-type]
        test=options.test_fraction,
        validation=options.validation_fraction,
        seed=options.seed,
        kinds=wanted.kinds,
        group=wanted.group,
        time=wanted.time,
        split=wanted.split,
    )


def make_trainer(splits: TableSplit, options: TrainOptions) -> Trainer:
    """Return the trainer for a task and the options.

    Args:
        splits: The data.
        options: The options.
    """
    return _trainer(options, splits.train, len(splits.preprocessing.classes))


def _trainer(options: TrainOptions, train: Dataset, classes: int) -> Trainer:
    trainer = tabular(
        train,
        epochs=options.epochs,
        task="classification" if classes else "regression",
        classes=classes or None,
        hidden=None if options.hidden is None else _widths(options.hidden),
        lr=options.lr,
        batch_size=options.batch_size,
        weight_decay=options.weight_decay,
        seed=options.seed,
    )
    patience = options.patience
    return trainer.replace(
        scheduler=make_scheduler(options.scheduler, trainer.scheduler.init().lr, options.epochs, patience),
        early_stopping=None if patience is None else EarlyStopping("val_loss", patience=patience),
    )


def _widths(hidden: str) -> list[int]:
    try:
        widths = [int(width) for width in hidden.split(",") if width.strip()]
    except ValueError:
        raise ValueError(f"--hidden must be integers between commas, such as 64,64, got {short(hidden)}") from None
    return [integer(1)("hidden", width) for width in widths]


def make_scheduler(name: str, lr: float, epochs: int, patience: int | None) -> Scheduler:
    """Return a schedule that fits a number of epochs.

    Args:
        name: The name of the schedule.
        lr: The initial learning rate.
        epochs: The number of epochs that `step` and `cosine` are spread over.
        patience: The patience of early stopping, of which `plateau` has half; None for the patience of 30 epochs.
    """
    arguments: dict[str, dict[str, Any]] = {
        "step": {"step_size": max(1, epochs // 3)},
        "cosine": {"T_max": max(1, epochs)},
        "plateau": {
            "patience": max(1, (30 if patience is None else patience) // 2),
            "min_lr": min(1e-6, lr) if lr > 0 else 0.0,
        },
    }
    return get_scheduler(name, lr, **arguments.get(name.lower(), {}))
