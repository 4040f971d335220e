"""Split a table into training, validation and test parts, standardized by the training part."""

import math

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import integer
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing, Task, categories_of, fit_preprocessing, infer_task, labels_as_text
from fnloop.data.tables import Table


@frozen
class TableSplit:
    """A dataset in three parts: `train`, `validation` and `test`, and how it was made from its table."""

    train: Dataset
    validation: Dataset
    test: Dataset
    preprocessing: Preprocessing
    task: str


def split_table(
    table: Table,
    target: str,
    *,
    task: Task | None = None,
    test: float = 0.2,
    validation: float = 0.2,
    seed: int = 42,
) -> TableSplit:
    """Split a table, by class where there are classes, and standardise by the training part.

    Args:
        task: by default what the target says (`preprocessing.infer_task`).
        test: fraction of all rows; validation: fraction of the rest; both in (0, 1).
    Raises: ValueError: if the target is not there, a class has too few examples, or there are too few rows.
    """
    for name, fraction in (("test", test), ("validation", validation)):
        if not 0 < fraction < 1:
            raise ValueError(f"{name} must be a fraction in (0, 1), got {short(fraction)}")
    integer(0, 2**32)("seed", seed)
    if target not in table:
        raise ValueError(f"target must be one of the columns {listed(table)}, got {short(target)}")
    if len(table) < 2:
        raise ValueError(f"the data must have a column beside the target {short(target)}, between commas, got none")
    task = task or infer_task(table[target])
    labels = _labels(table[target], target) if task == "classification" else None
    if labels is None and table[target].dtype.kind != "f":
        raise ValueError(f"target {short(target)} must be of numbers for regression, got {short(str(table[target][0]))}")
    rows = _split_rows(len(table[target]), labels, test, validation, seed)
    parts = [{name: values[part] for name, values in table.items()} for part in rows]
    known = categories_of(table, [name for name in table if name != target])
    how = fit_preprocessing(parts[0], target, () if labels is None else np.unique(labels).tolist(), known)
    train, validation_part, test_part = (how.dataset(part) for part in parts)
    return TableSplit(train, validation_part, test_part, how, task)


def _labels(values: Array, target: str) -> Array:
    labels = labels_as_text(values)
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"target {short(target)} must have at least 2 classes, got only {short(str(classes[0]))}")
    if counts.min() < 5:
        rare = str(classes[counts.argmin()])
        raise ValueError(
            f"each class of {short(target)} must have 5 rows or more to split, got {counts.min()} of {short(rare)}"
        )
    return labels


def _split_rows(n: int, labels: Array | None, test: float, validation: float, seed: int) -> list[Array]:
    from sklearn.model_selection import train_test_split

    if n < 5:
        raise ValueError(f"the data must have at least 5 rows to be split, got {n}")
    least = 1 if labels is None else len(np.unique(labels))
    tested_rows = math.ceil(n * test)
    validated_rows = math.ceil((n - tested_rows) * validation)
    if min(tested_rows, validated_rows, n - tested_rows - validated_rows) < least:
        raise ValueError(
            f"test and validation must leave each part {least} rows or more, got {short(test)} and "
            f"{short(validation)} of {n} rows"
        )
    rest, tested = train_test_split(np.arange(n), test_size=test, random_state=seed, stratify=labels)
    kept = None if labels is None else labels[rest]
    trained, validated = train_test_split(rest, test_size=validation, random_state=seed, stratify=kept)
    return [trained, validated, tested]
