"""Split a table into training, validation and test parts, standardized by the training part."""

import math

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import choice, integer, optional, real
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing, Task, categories_of, fit_preprocessing, infer_task, labels_as_text
from fnloop.data.tables import Table

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
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    preprocessing: Preprocessing
    task: Task


def split_table(
    table: Table,
    target: str,
    *,
    task: Task | None = None,
    test: float = 0.2,
    validation: float = 0.2,
    seed: int = 42,
) -> TableSplit:
    """Split a table at random, stratified by class, and standardize it by its training part.

    Args:
        table: Column names to columns of equal length.
        target: Name of the target column.
        task: `"classification"` or `"regression"`; by default inferred from the target.
        test: Fraction of all rows for the test set, in (0, 1). Default: 0.2.
        validation: Fraction of the other rows for the validation set, in (0, 1). Default: 0.2.
        seed: Seed of the random split, in [0, 2^32). Default: 42.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a fraction or the seed is outside its range, the task is unknown, the target is not a column or the
            only one, a class has fewer than 5 rows, or there are too few rows for three parts.

    Examples:
        >>> table = {"x": np.arange(20.0), "y": np.repeat([0.0, 1.0], 10)}
        >>> parts = split_table(table, "y")
        >>> len(parts.train), len(parts.validation), len(parts.test)
        (12, 4, 4)

    See Also:
        `fnloop.split`, which splits a dataset
    """
    test, validation, seed = _fraction("test", test), _fraction("validation", validation), _seed("seed", seed)
    if target not in table:
        raise ValueError(f"target must be one of the columns {listed(table)}, got {short(target)}")
    if len(table) < 2:
        raise ValueError(
            f"the data must have columns other than the target {short(target)}, got none; a CSV file has commas between them"
        )
    task = _task("task", task) or infer_task(table[target])
    labels = _labels(table[target], target) if task == "classification" else None
    if labels is None and table[target].dtype.kind != "f":
        raise ValueError(f"target {short(target)} must be numbers for regression, got {short(str(table[target][0]))}")
    rows = _split_rows(len(table[target]), labels, test, validation, seed)
    parts = [{name: values[part] for name, values in table.items()} for part in rows]
    categories = categories_of(table, [name for name in table if name != target])
    classes = () if labels is None else np.unique(labels).tolist()
    preprocessing = fit_preprocessing(parts[0], target, classes, categories)
    train, validation_part, test_part = (preprocessing.dataset(part) for part in parts)
    return TableSplit(train=train, validation=validation_part, test=test_part, preprocessing=preprocessing, task=task)


def _labels(values: Array, target: str) -> Array:
    labels = labels_as_text(values)
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"target {short(target)} must have at least 2 classes, got only {short(str(classes[0]))}")
    if counts.min() < 5:
        rare = str(classes[counts.argmin()])
        raise ValueError(f"each class of {short(target)} must have at least 5 rows, got {counts.min()} of {short(rare)}")
    return labels


def _split_rows(n: int, labels: Array | None, test: float, validation: float, seed: int) -> tuple[Array, Array, Array]:
    """The row numbers of the training, validation and test part."""
    from sklearn.model_selection import train_test_split

    if n < 5:
        raise ValueError(f"the data must have at least 5 rows, got {n}")
    minimum = 1 if labels is None else len(np.unique(labels))
    n_test = math.ceil(n * test)
    n_validation = math.ceil((n - n_test) * validation)
    if min(n_test, n_validation, n - n_test - n_validation) < minimum:
        raise ValueError(
            f"test and validation must leave each part at least {minimum} rows, got {short(test)} and "
            f"{short(validation)} of {n} rows"
        )
    rest, test_rows = train_test_split(np.arange(n), test_size=test, random_state=seed, stratify=labels)
    rest_labels = None if labels is None else labels[rest]
    train_rows, validation_rows = train_test_split(rest, test_size=validation, random_state=seed, stratify=rest_labels)
    return train_rows, validation_rows, test_rows
