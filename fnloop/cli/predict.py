"""`fnloop predict`: predictions of a checkpoint as CSV."""

import csv
import io
from pathlib import Path
from typing import Annotated

import typer

from fnloop.cli.completion import complete_data, complete_path
from fnloop.cli.errors import naming_options
from fnloop.cli.options import OutFile
from fnloop.cli.output import write_output
from fnloop.core.formatting import short
from fnloop.data.tables import load_table
from fnloop.runs.checkpoint import load_checkpoint
from fnloop.training import evaluation


@naming_options(path="--out")
def predict(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="A checkpoint of `fnloop train` or `fnloop export`.", autocompletion=complete_path
        ),
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A CSV file with a header, an .npz file with x, or the name of a dataset.",
            autocompletion=complete_data,
        ),
    ],
    out: OutFile = None,
) -> None:
    """Predict each row of a table, and write CSV.

    For classes the probability of each is a column. Labels and the scaling of features come from the checkpoint.
    """
    write_output(lambda: predictions(checkpoint, data), out, CHECKPOINT=checkpoint, DATA=data)


def predictions(checkpoint: Path, data: str) -> str:
    """Return the predictions of a checkpoint for each row of the data, as CSV.

    Args:
        checkpoint: The checkpoint, with trainer and preprocessing.
        data: A CSV or .npz file, or the name of a dataset.
    """
    loaded = load_checkpoint(checkpoint)
    trainer, preprocessing = loaded.trainer, loaded.preprocessing
    if trainer is None or preprocessing is None:
        raise ValueError(
            f"{short(str(checkpoint))} must be a checkpoint of `fnloop train`; it has no trainer or no preprocessing"
        )
    x = preprocessing.features(load_table(data, preprocessing.target)[0])
    header, columns = ["prediction"], [preprocessing.decode(evaluation.predict(trainer, loaded.state, x)).tolist()]
    if preprocessing.classes:
        header += [f"p({name})" for name in preprocessing.classes]
        columns += [[f"{p:.6f}" for p in column] for column in evaluation.predict_proba(trainer, loaded.state, x).T]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return file.getvalue()
