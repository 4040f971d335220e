"""The options of `fnloop train`, and the data and the trainer that they define."""

from typing import Any

from fnloop.cli.table_options import TableOptions
from fnloop.core.checks import PositiveInt, choice, integer, real
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.data.reading import read_table
from fnloop.data.table_split import TableSplit, split_table
from fnloop.engines import get_engine
from fnloop.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from fnloop.nn import mlp
from fnloop.optimizers import AdamW
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
        hidden: Widths of the hidden layers, between commas.
        lr: Initial learning rate.
        scheduler: Name of the schedule.
        epochs: Maximum number of epochs.
        batch_size: Examples per batch.
        patience: Epochs without improvement of `val_loss` before training stops.
        weight_decay: Decoupled weight decay.
        test_fraction: Fraction of the rows in the test set.
        validation_fraction: Fraction of the remaining rows in the validation set.
        seed: Seed of the split, the initial weights and the order of examples.
        engine: Name of the engine.
        refit: Whether to train on the validation rows too, at the end.
    """

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
    refit: bool = False


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
    _trainer(options, 1, 1, MeanSquaredError())


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
    classes = len(splits.preprocessing.classes)
    loss = MeanSquaredError() if not classes else BinaryCrossEntropy() if classes == 2 else SoftmaxCrossEntropy()
    outputs = classes if classes > 2 else 1
    return _trainer(options, splits.train.x.shape[1], outputs, loss)


def _trainer(options: TrainOptions, features: int, outputs: int, loss: Loss) -> Trainer:
    return Trainer(
        model=mlp([features, *_widths(options.hidden), outputs]),
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
