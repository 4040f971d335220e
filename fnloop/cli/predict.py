"""`fnloop predict`: predictions of a checkpoint as CSV, written as the rows are read."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from fnloop.cli.completion import complete_data, complete_path
from fnloop.cli.errors import naming_options
from fnloop.cli.options import OutFile
from fnloop.cli.output import write_chunks
from fnloop.cli.table_options import DecimalOption, DelimiterOption, EncodingOption, HeaderOption, MissingOption
from fnloop.core.display import pluralize
from fnloop.core.formatting import listed, short
from fnloop.core.records import evolve
from fnloop.data.preprocessing import Preprocessing
from fnloop.data.reading import TableFile, read_chunks
from fnloop.data.schema import Schema
from fnloop.data.table_format import TableFormat
from fnloop.runs.checkpoint import Checkpoint, load_checkpoint
from fnloop.training.ensemble import Ensemble

CHUNK_NUMBERS = 2_000_000  # of the features of one chunk: 16 MB


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
            help="A table as for `fnloop train`, - for standard input, or the name of a dataset.",
            autocompletion=complete_data,
        ),
    ],
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse categories and other values that were not in the training data.")
    ] = False,
    spread: Annotated[
        bool,
        typer.Option("--spread", help="Add a column: the standard deviation among the members of `fnloop train --members`."),
    ] = False,
    header: HeaderOption = None,
    missing: MissingOption = None,
    delimiter: DelimiterOption = None,
    decimal: DecimalOption = None,
    encoding: EncodingOption = None,
    out: OutFile = None,
) -> None:
    """Predict each row of a table, in its order, and write CSV.

    Columns may be in any order, and cells may be missing. For classes the probability of each is a column. What the columns
    are, labels and the scaling of features come from the checkpoint. Rows are read, predicted and written in chunks.

    The table is read as that of the training was: the same header or none, decimal mark and texts of missing cells.

    The spread of an ensemble is that of the predicted class's probability, or of the quantity, in its units.
    """
    given = TableFormat(delimiter=delimiter, decimal=decimal, encoding=encoding, header=header, missing=tuple(missing or ()))
    write_chunks(
        lambda: predictions(checkpoint, data, given, strict=strict, spread=spread),
        out,
        CHECKPOINT=checkpoint,
        DATA=data,
    )


def predictions(
    checkpoint: Path, data: str, given: TableFormat, *, strict: bool = False, spread: bool = False
) -> Iterator[str]:
    """Yield the predictions of a checkpoint for each row of the data, as CSV, a chunk of rows at a time.

    What was not seen in training is counted, and noted on standard error at the end.

    Args:
        checkpoint: The checkpoint, with trainer and preprocessing.
        data: A file, or the name of a dataset.
        given: What is stated about the layout of the file; the rest is that of the training, or is found.
        strict: Whether to refuse what was not seen in training.
        spread: Whether to add the spread among the members of an ensemble.

    Raises:
        ValueError: If the checkpoint has no preprocessing, or, with `spread`, no ensemble; a column is missing; or, with
            `strict`, a value is unknown.
    """
    loaded = load_checkpoint(checkpoint)
    preprocessing, model = loaded.preprocessing, _model_of(loaded)
    if model is None or preprocessing is None:
        raise ValueError(
            f"{short(str(checkpoint))} must be a checkpoint of `fnloop train`; it has no trainer or no preprocessing"
        )
    if spread and len(model) == 1:
        raise ValueError(
            f"--spread needs the checkpoint of an ensemble, which `fnloop train --members 8` writes; "
            f"{short(str(checkpoint))} has one model"
        )
    given = given.after(preprocessing.schema.format)
    in_order = False in (given.header, preprocessing.schema.format.header)
    rows = int(np.clip(CHUNK_NUMBERS // sum(preprocessing.widths), 100, 20_000))
    unseen: dict[str, tuple[int, str]] = {}
    done = 0
    chunks = read_chunks(data, given, partial(preprocessing.schema.text_columns, in_order=in_order), rows)
    while (chunk := _next(chunks, done)) is not None:
        if not done:
            for note in chunk.notes:
                typer.echo(f"fnloop: note: {note}", err=True)
            if chunk.layout is not None:
                schema = preprocessing.schema.with_decimal(chunk.layout.decimal)
                preprocessing = evolve(preprocessing, schema=schema)
            _check_header(preprocessing.schema, chunk)
        names = preprocessing.schema.known_names(chunk.frame.columns, in_order=in_order)
        chunk = chunk._replace(frame=chunk.frame.set_axis(names, axis=1))
        with _after(done):
            text = _predict_chunk(model, preprocessing, chunk, unseen, strict, spread=spread, with_header=not done)
        yield text
        done += len(chunk.frame)
    for name, (count, example) in unseen.items():
        cells = "1 cell has a value" if count == 1 else f"{count:,} cells have values"
        typer.echo(f"fnloop: note: column {short(name)}: {cells} not seen in training, such as {example}", err=True)


def _check_header(schema: Schema, chunk: TableFile) -> None:
    """Check that the first line has a name of the training, where it is taken for names."""
    names = schema.names
    if chunk.layout is not None and chunk.layout.header and schema.format.header and not set(names) & set(chunk.layout.names):
        raise ValueError(
            f"the first line must have names of columns, such as {listed(names, 60)}, got {listed(chunk.layout.names, 60)}; "
            "if the file has no header, state --no-header"
        )


def _model_of(checkpoint: Checkpoint) -> Ensemble | None:
    """Return the model of a checkpoint as an ensemble, of one member if it has a single state; None without a trainer."""
    if isinstance(checkpoint.state, Ensemble) or checkpoint.trainer is None:
        return checkpoint.state if isinstance(checkpoint.state, Ensemble) else None
    return Ensemble((checkpoint.trainer,), (checkpoint.state,))


def _next(chunks: Iterator[TableFile], done: int) -> TableFile | None:
    with _after(done):
        return next(chunks, None)


@contextmanager
def _after(done: int) -> Iterator[None]:
    """Add to an error the number of rows before it, which may be written already."""
    try:
        yield
    except ValueError as error:
        if not done:
            raise
        raise ValueError(f"{error}; the predictions end after {pluralize(done, 'row')}") from None


def _predict_chunk(
    model: Ensemble,
    preprocessing: Preprocessing,
    chunk: TableFile,
    unseen: dict[str, tuple[int, str]],
    strict: bool,
    *,
    spread: bool,
    with_header: bool,
) -> str:
    """The predictions of a chunk as CSV; adds the values not seen in training to `unseen`, or refuses them."""
    frame = chunk.frame
    x, unknown = preprocessing.encode(frame)
    for name, places in unknown.items():
        count, example = unseen.get(name, (0, ""))
        if not count:
            example = _example(frame, name, int(places[0]), chunk)
        unseen[name] = count + len(places), example
        if strict:
            raise ValueError(f"column {short(name)} has a value that was not seen in training: {example}")
    loss, outputs = model.trainers[0].loss, model.outputs(x)
    header, columns = ["prediction"], [preprocessing.decode(loss.predict(outputs)).tolist()]
    if preprocessing.classes:
        header += [f"p({name})" for name in preprocessing.classes]
        columns += [[f"{p:.6f}" for p in column] for column in loss.probabilities(outputs).T]
    if spread:
        header.append("spread")
        columns.append([f"{value:.6g}" for value in preprocessing.in_units(model.spread(x))])
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    if with_header:
        writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return file.getvalue()


def _example(frame: Any, name: str, row: int, chunk: TableFile) -> str:
    return f"{short(str(frame[name].iloc[row]), 40)} in {chunk.place(int(frame.index[row]))}"
