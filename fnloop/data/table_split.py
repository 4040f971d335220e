"""Split a table into training, validation and test parts, and encode it by its training part."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import choice, integer, optional, real
from fnloop.core.display import pluralize
from fnloop.core.formatting import listed, short
from fnloop.core.records import evolve, frozen
from fnloop.core.signatures import did_you_mean
from fnloop.data.cells import date_cells, is_numeric, number_cells, text_cells
from fnloop.data.column_kinds import Place
from fnloop.data.dataset import Dataset
from fnloop.data.encoders.number import Scaling
from fnloop.data.encoders.target import ClassEncoder
from fnloop.data.frames import as_pandas
from fnloop.data.inference import Task, check_kinds, infer_schema, row_number
from fnloop.data.missing_cells import check_missing, without_missing
from fnloop.data.preprocessing import Preprocessing, fit_encoders
from fnloop.data.reading import TableFile
from fnloop.data.schema import Schema
from fnloop.data.splits import assign_groups, assign_rows, part_sizes

FEWEST_ROWS, FEWEST_OF_CLASS = 5, 5
PARTS = {
    **dict.fromkeys(("train", "training"), 0),
    **dict.fromkeys(("validation", "valid", "val", "dev"), 1),
    **dict.fromkeys(("test", "testing"), 2),
}
_fraction, _seed = real("(0, 1)"), integer(0, 2**32)
_task = optional(choice("classification", "regression"))


@frozen
class TableSplit:
    """A table in three parts.

    Args:
        train: The training set.
        validation: The validation set.
        test: The test set.
        preprocessing: How the table became arrays; fitted on the training set.
        task: `"classification"` or `"regression"`.
        rows: The rows of the training, the validation and the test set, counted from 0 in the table.
        notes: What the user should know about the split.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    preprocessing: Preprocessing
    task: Task
    rows: tuple[Array, Array, Array]
    notes: tuple[str, ...] = ()


def split_table(
    table: Any,
    target: str | None = None,
    *,
    task: Task | None = None,
    test: float = 0.2,
    validation: float = 0.2,
    seed: int = 42,
    kinds: Mapping[str, str] | None = None,
    missing: Sequence[Any] = (),
    group: str | None = None,
    time: str | None = None,
    split: str | None = None,
    scaling: Scaling = "robust",
) -> TableSplit:
    """Split a table, and encode it by its training part.

    The split is random and stratified by class, unless `group`, `time` or `split` is given; that column is no feature.
    Classes of fewer than 5 rows are in the training part alone. Rows without a target are left out.

    Args:
        table: A frame of pandas, polars or another library, a mapping of names to columns, or a file that was read.
        target: Name of the target; None for the last column that can be one.
        task: `"classification"` or `"regression"`; by default inferred from the target.
        test: Fraction of all rows for the test set, in (0, 1). Default: 0.2.
        validation: Fraction of the other rows for the validation set, in (0, 1). Default: 0.2.
        seed: Seed of the random split, in [0, 2^32). Default: 42.
        kinds: Kinds of columns that overrule the guesses, such as `{"zip": "category", "name": "dropped"}`.
        missing: Texts and numbers that mean a missing cell, such as `["unknown", -99]`, here and in tables to predict.
        group: A column whose equal values stay in one part, such as a patient.
        time: A column of dates or numbers: the latest rows are the test set, the earliest the training set.
        split: A column that has the part of each row: `train`, `validation` or `test`.
        scaling: How numbers are scaled: `"robust"` or `"standard"`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a fraction or the seed is outside its range, a column does not exist, the target cannot be one, or there
            are too few rows for three parts.

    Examples:
        >>> table = {"x": np.arange(20.0) % 7, "y": np.repeat([0, 1], 10)}
        >>> parts = split_table(table, "y")
        >>> len(parts.train), len(parts.validation), len(parts.test)
        (13, 3, 4)
        >>> sorted(np.concatenate(parts.rows).tolist()) == list(range(20))
        True

    See Also:
        `fnloop.split`, which splits a dataset
    """
    test, validation, seed = _fraction("test", test), _fraction("validation", validation), _seed("seed", seed)
    roles = {"group": group, "time": time, "split": split}
    given = {role: name for role, name in roles.items() if name is not None}
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} exclude one another, got {listed(map(repr, given.values()))}")
    file = table if isinstance(table, TableFile) else TableFile(table, row_number)
    place, target = file.place, file.target if target is None else target
    table_format = evolve(file.format, missing=(*file.format.missing, *check_missing("missing", missing)))
    frame = without_missing(as_pandas("table", file.frame), table_format.missing)
    if len(frame) < FEWEST_ROWS:
        raise ValueError(f"the data must have at least {FEWEST_ROWS} rows, got {len(frame)}")
    for role, name in given.items():
        if not isinstance(name, str):
            raise TypeError(f"{role} must be the name of a column, got {short(name)}")
        if name not in frame.columns:
            close = did_you_mean(name, frame.columns)
            raise ValueError(f"{role} must be one of the columns {listed(frame.columns)}, got {short(name)}{close}")
        if name == target:
            raise ValueError(f"{role} must be another column than the target, got {short(name)}")
    roles_of = {name: role for role, name in given.items()}
    schema = infer_schema(
        frame,
        target,
        task=_task("task", task),
        kinds={**check_kinds(kinds), **roles_of},
        place=place,
        notes=file.notes,
        table_format=table_format,
    )
    frame, left_out = _with_target(frame, schema)
    labels = _classes(frame, schema)
    parts, notes = _parts(frame, schema, labels, (test, validation, seed), given, place)
    return encode_parts(frame, schema, parts, scaling, (*left_out, *notes))


def encode_parts(
    frame: Any, schema: Schema, parts: Sequence[Array], scaling: Scaling, notes: Sequence[str] = ()
) -> TableSplit:
    """Return the three parts of a table as datasets, encoded by the first.

    Args:
        frame: The pandas frame; each row has a target, and its label is its place in the table.
        schema: What its columns are.
        parts: The rows of each part.
        scaling: How numbers are scaled.
        notes: What the user should know about the split.
    """
    tables = [frame.iloc[part] for part in parts]
    preprocessing = fit_encoders(schema, tables[0], scaling)
    train, validation, test = (preprocessing.dataset(part) for part in tables)
    task: Task = "classification" if schema.classes else "regression"
    rows = tuple(part.index.to_numpy(np.int64) for part in tables)
    return TableSplit(
        train=train,
        validation=validation,
        test=test,
        preprocessing=preprocessing,
        task=task,
        rows=(rows[0], rows[1], rows[2]),
        notes=tuple(notes),
    )


def _with_target(frame: Any, schema: Schema) -> tuple[Any, tuple[str, ...]]:
    """The rows with a target, and a note about the others."""
    assert schema.target is not None
    name = schema.target.name
    if schema.classes:
        present = text_cells(frame[name])[1] >= 0
    else:
        present = ~np.isnan(number_cells(frame[name], schema.target.decimal)[0])
    count = int((~present).sum())
    if int(present.sum()) < FEWEST_ROWS:
        raise ValueError(f"the data must have at least {FEWEST_ROWS} rows with a target, got {int(present.sum())}")
    if not count:
        return frame, ()
    return frame[present], (f"{pluralize(count, 'row')} without a target left out",)


def _classes(frame: Any, schema: Schema) -> Array | None:
    assert schema.target is not None
    name = schema.target.name
    return ClassEncoder(name, schema.classes).encode(frame[name]) if schema.classes else None


def _parts(
    frame: Any,
    schema: Schema,
    labels: Array | None,
    random: tuple[float, float, int],
    given: Mapping[str, str],
    place: Place,
) -> tuple[list[Array], tuple[str, ...]]:
    """The rows of the three parts, and notes."""
    test, validation, seed = random
    classes = np.zeros(len(frame), np.int64) if labels is None else labels
    part_of_row: Array
    if "time" in given:
        part_of_row = _by_time(frame[given["time"]], schema, given["time"], test, validation, place)
    elif "group" in given:
        part_of_row = _by_group(frame[given["group"]], given["group"], classes, random, place)
    elif "split" in given:
        part_of_row = _given(frame[given["split"]], given["split"], classes, random, place)
    else:
        part_of_row = _at_random(classes, test, validation, seed)
    parts = [np.flatnonzero(part_of_row == part) for part in range(3)]
    for name, rows in zip(("training", "validation", "test"), parts, strict=True):
        if not len(rows):
            raise ValueError(f"the {name} part must have at least one row, got none of {len(frame)}")
    absent = set(classes.tolist()) - set(classes[parts[0]].tolist())
    notes = (f"no row to train has the classes {listed(schema.classes[i] for i in sorted(absent))}",) if absent else ()
    return parts, notes


def _at_random(classes: Array, test: float, validation: float, seed: int) -> Array:
    counts = np.bincount(classes)
    common = counts[classes] >= FEWEST_OF_CLASS
    part_of_row = np.zeros(len(classes), np.int64)
    if not common.any():
        return assign_rows(np.zeros(len(classes), np.int64), _sizes(len(classes), 1, test, validation), seed)
    kept = np.unique(classes[common], return_inverse=True)[1]
    part_of_row[common] = assign_rows(kept, _sizes(len(kept), int(kept.max()) + 1, test, validation), seed)
    return part_of_row


def _sizes(n: int, classes: int, test: float, validation: float) -> Array:
    """The number of rows in each part, of which that for training must have at least a row of each class."""
    sizes, fewest = part_sizes(n, test, validation), max(2, classes)
    if sizes[0] < fewest:
        raise ValueError(
            f"test and validation must leave at least {fewest} rows for training, got {short(test)} and "
            f"{short(validation)} of {n} rows"
        )
    return sizes


def _by_group(series: Any, name: str, classes: Array, random: tuple[float, float, int], place: Place) -> Array:
    test, validation, seed = random
    texts, groups = text_cells(series)
    if (groups < 0).any():
        raise ValueError(f"group {short(name)} must have a value in each row, got none in {_first(series, groups < 0, place)}")
    if len(texts) < 3:
        raise ValueError(f"group {short(name)} must have at least 3 different values, one for each part, got {len(texts)}")
    return assign_groups(groups, classes, part_sizes(len(groups), test, validation), seed)


def _by_time(series: Any, schema: Schema, name: str, test: float, validation: float, place: Place) -> Array:
    times = number_cells(series)[0] if is_numeric(series) else date_cells(series, schema.column(name).date_format)[0]
    if np.isnan(times).any():
        raise ValueError(
            f"time {short(name)} must have a value in each row, got none in {_first(series, np.isnan(times), place)}"
        )
    if times.min() == times.max():
        raise ValueError(f"time {short(name)} must have different values, but all are {short(str(series.iloc[0]), 40)}")
    part_of_row = np.empty(len(times), np.int64)
    part_of_row[np.argsort(times, kind="stable")] = np.repeat(np.arange(3), part_sizes(len(times), test, validation))
    return part_of_row


def _given(series: Any, name: str, classes: Array, random: tuple[float, float, int], place: Place) -> Array:
    test, validation, seed = random
    texts, codes = text_cells(series)
    unknown = np.array([text.lower() not in PARTS for text in texts] + [True], bool)[codes]
    if unknown.any():
        row = int(unknown.argmax())
        value = "an empty cell" if codes[row] < 0 else short(str(texts[codes[row]]), 40)
        where = _first(series, unknown, place)
        raise ValueError(f"split {short(name)} must be train, validation or test in each row, got {value} in {where}")
    part_of_row: Array = np.array([PARTS[text.lower()] for text in texts])[codes]
    for part, fraction in ((2, test), (1, validation)):
        rest = np.flatnonzero(part_of_row == 0)
        if not (part_of_row == part).any() and len(rest):
            chosen = _at_random(classes[rest], fraction if part == 2 else 0.0, fraction if part == 1 else 0.0, seed)
            part_of_row[rest] = chosen
    return part_of_row


def _first(series: Any, flags: Array, place: Place) -> str:
    return place(int(series.index[int(flags.argmax())]))
