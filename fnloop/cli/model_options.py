"""The data and the options of a trainer that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from fnloop.cli.completion import complete_choice, complete_data, complete_path
from fnloop.cli.train_options import TASKS
from fnloop.data.builtin_tables import DATASET_NAMES
from fnloop.schedulers import SCHEDULERS

DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help=f"A table: CSV, TSV, Parquet, JSON Lines or .npz; - for standard input; or {', '.join(DATASET_NAMES)}.",
        autocompletion=complete_data,
    ),
]
TargetOption = Annotated[str | None, typer.Option(help="Column to predict. Default: the last one that can be predicted.")]
TaskOption = Annotated[
    str,
    typer.Option(help="auto (chosen by the target), classification or regression.", autocompletion=complete_choice(TASKS)),
]
HiddenOption = Annotated[
    str | None, typer.Option(help="Widths of the hidden layers, between commas. Default: 128 each, two or three layers.")
]
RateOption = Annotated[float | None, typer.Option(help="Initial learning rate. Default: 0.01.")]
SchedulerOption = Annotated[
    str, typer.Option(help=f"Learning-rate schedule: {', '.join(SCHEDULERS)}.", autocompletion=complete_choice(SCHEDULERS))
]
EpochsOption = Annotated[int, typer.Option(help="Maximum number of epochs.")]
BatchSizeOption = Annotated[int | None, typer.Option(help="Examples per batch. Default: by the number of rows, 16 to 256.")]
PatienceOption = Annotated[
    int | None, typer.Option(help="Epochs without improvement of val_loss before training stops. Default: never.")
]
WeightDecayOption = Annotated[float | None, typer.Option(help="Decoupled weight decay. Default: by the number of rows.")]
TestFractionOption = Annotated[float, typer.Option(help="Fraction of the rows in the test set.")]
ValidationFractionOption = Annotated[float, typer.Option(help="Fraction of the remaining rows in the validation set.")]
OutFolder = Annotated[
    Path, typer.Option("--out", help="Output folder; created if it does not exist.", autocompletion=complete_path)
]
EngineOption = Annotated[
    str,
    typer.Option(
        help="numpy, or jax (compiled); jax:gpu and the like select a device.",
        autocompletion=complete_choice(("numpy", "jax")),
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]
OPTION_NAMES = {  # the options that the library's errors mean
    "initial_lr": "--lr",
    "test": "--test-fraction",
    "validation": "--validation-fraction",
    "kinds": "--column or --drop",
}
