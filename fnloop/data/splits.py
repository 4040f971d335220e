"""Split a dataset into training, validation and test parts: stratified by class, by group, or in order."""

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import boolean, integer, optional, real
from fnloop.core.formatting import short
from fnloop.core.random import Stream, words
from fnloop.core.records import evolve, frozen
from fnloop.data.dataset import Dataset
from fnloop.data.names import unique_labels

_fraction, _seed = real("[0, 1)"), optional(integer(0, 2**64))


@frozen
class Split:
    """A dataset in three parts, which unpacks: `train, validation, test = fl.split(data)`.

    The rows of each part are in the order of the dataset.

    Args:
        train: The training set.
        validation: The validation set; None if its fraction is 0.
        test: The test set; None if its fraction is 0.
    """

    train: Dataset
    validation: Dataset | None
    test: Dataset | None

    def __iter__(self) -> Iterator[Dataset | None]:
        return iter((self.train, self.validation, self.test))


def split(
    data: Dataset,
    *,
    test: float = 0.2,
    validation: float = 0.2,
    stratify: bool = True,
    groups: Any = None,
    seed: int | None = 42,
) -> Split:
    """Split a dataset at random; every row is in exactly one part.

    With `stratify`, the number of rows of a class in a part differs from its exact share by less than one row. Every distinct
    target is a class, so that a split for regression, where all targets differ, is a plain random one.

    Args:
        data: The dataset.
        test: Fraction of all rows for the test set, in [0, 1). Default: 0.2.
        validation: Fraction of the other rows for the validation set, in [0, 1). Default: 0.2.
        stratify: Whether each class has the same share of every part. Default: True.
        groups: One label for each row, such as a patient's; rows with the same label stay together. Sizes and classes are then
            only as even as the groups allow: the largest groups are assigned first, each to the part that lacks it most.
            Default: None, no groups.
        seed: Seed of the random split, in [0, 2^64). Default: 42. None keeps the order, as time series need: the first rows
            are the training set, the last the test set. It requires `stratify=False`, and no groups.

    Raises:
        TypeError: If `data` is not a `Dataset`, or an argument has the wrong type.
        ValueError: If a fraction is outside its interval, a part would be empty, or `groups` does not match the data.

    Examples:
        >>> data = Dataset(np.arange(10.0).reshape(10, 1), [0, 1, 1, 1, 0, 1, 0, 1, 0, 1])
        >>> parts = split(data, test=0.5, validation=0)
        >>> parts.train.y.sum(), parts.test.y.sum()
        (np.int64(3), np.int64(3))

    Source: Cox 1987, A constructive procedure for unbiased controlled rounding.

    See Also:
        `fnloop.split_table`, which splits a table and encodes it
    """
    if not isinstance(data, Dataset):
        raise TypeError(f"data must be a fl.Dataset(x, y), got {short(data)}")
    sizes = part_sizes(len(data), _fraction("test", test), _fraction("validation", validation))
    seed, stratify = _seed("seed", seed), boolean("stratify", stratify)
    group_of_row = None if groups is None else group_indices(groups, len(data))
    if seed is None and (stratify or group_of_row is not None):
        raise ValueError("seed must be an integer for a split by class (stratify=True) or by group, got None")
    class_of_row = class_indices(data.y) if stratify else np.zeros(len(data), np.int64)
    if group_of_row is not None:
        part_of_row = assign_groups(group_of_row, class_of_row, sizes, seed)
    else:
        part_of_row = np.repeat(np.arange(3), sizes) if seed is None else assign_rows(class_of_row, sizes, seed)
    train, validation_part, test_part = (take_rows(data, np.flatnonzero(part_of_row == part)) for part in range(3))
    return Split(train, validation_part, test_part)  # type: ignore[arg-type]  # train is never None: _sizes leaves it a row


def take_rows(data: Dataset, rows: Array) -> Dataset | None:
    """Return some rows of a dataset, whose classes are those of the whole dataset; None for no rows.

    Args:
        data: The dataset.
        rows: The indices of the rows.
    """
    if not len(rows):
        return None
    labels = unique_labels(data.y) if data.y.dtype.kind in "Ub" else ()
    classes = data.classes or (labels if len(labels) > 1 else ())
    weights = None if data.weights is None else data.weights[rows]
    return evolve(data, x=data.x[rows], y=data.y[rows], weights=weights, classes=classes)


def part_sizes(n: int, test: float, validation: float) -> Array:
    """Return the number of rows in each part; at least one if the fraction is not 0.

    Args:
        n: The number of rows.
        test: Fraction of all rows for the test set.
        validation: Fraction of the other rows for the validation set.

    Raises:
        ValueError: If no row is left for training.
    """
    n_test = max(test > 0, round(n * test))
    n_validation = max(validation > 0, round((n - n_test) * validation))
    if n - n_test - n_validation < 1:
        raise ValueError(
            f"test and validation must leave a row for training, got {short(test)} and "
            f"{short(validation)} of {n} row{'s' * (n > 1)}"
        )
    return np.array([n - n_test - n_validation, n_validation, n_test])


def class_indices(y: Array) -> Array:
    """Return the class of each row. Classes with a single row are merged: there is nothing to stratify.

    Args:
        y: The targets.
    """
    _, indices, counts = np.unique(y, axis=0, return_inverse=True, return_counts=True)
    indices = indices.reshape(-1)
    indices[counts[indices] == 1] = len(counts)
    return np.unique(indices, return_inverse=True)[1]


def group_indices(groups: Any, n: int) -> Array:
    """Return the group of each row, from 0.

    Args:
        groups: A label for each row.
        n: The number of rows.

    Raises:
        TypeError: If labels are neither numbers nor text.
        ValueError: If there is not one for each row, or one is missing.
    """
    labels = np.asarray(groups)
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.flat):
        labels = labels.astype(str)
    if labels.dtype.kind not in "biufUSM":
        is_sequence = isinstance(groups, Iterable) and not isinstance(groups, str | Iterator | Mapping | Set)
        kind = "numbers or strings" if is_sequence else "a sequence of labels, such as a list"
        raise TypeError(f"groups must be {kind}, got {short(groups)}")
    if labels.shape != (n,):
        raise ValueError(f"groups must be one label for each of the {n} rows, got shape {labels.shape}")
    if (labels != labels).any():
        raise ValueError(f"groups must have no missing labels, got one in row {int((labels != labels).argmax())}")
    return np.unique(labels, return_inverse=True)[1]


def assign_rows(class_of_row: Array, sizes: Array, seed: int) -> Array:
    """Return the part of each row, 0, 1 or 2, stratified by class.

    Args:
        class_of_row: The class of each row, from 0, (N,).
        sizes: The number of rows in each part, (3,).
        seed: Seed of the random split.
    """
    class_sizes, n = np.bincount(class_of_row), len(class_of_row)
    random_words = iter(words(3 * len(class_sizes) + 1, seed, Stream.SPLIT, 1).tolist())
    ends = _controlled_rounding(np.multiply.outer(class_sizes, sizes), n, random_words).cumsum(axis=1)
    order = np.lexsort((words(n, seed, Stream.SPLIT, 0), class_of_row))
    rank = np.arange(n) - np.repeat(class_sizes.cumsum() - class_sizes, class_sizes)  # within the class, in random order
    part_of_row = np.empty(n, np.int64)
    part_of_row[order] = (rank[:, None] >= ends[class_of_row[order], :2]).sum(axis=1)
    return part_of_row


def _controlled_rounding(table: Array, unit: int, random_words: Iterator[int]) -> Array:
    """Round the entries of a table of three columns to multiples of a unit, keeping all row and column sums; in units.

    The row and column sums must be multiples of the unit. Each entry is rounded to the next multiple below or above it, and
    its expected value is the entry itself.

    While two rows have fractional entries in the same two columns, an amount is moved around these four entries that makes
    one of them whole: one of the two largest possible amounts, at random.
    """
    whole, fractional = np.divmod(table, unit)
    waiting: list[list[int]] = []  # rows with fractional entries, of which no two share more than one column
    rows = fractional.tolist()
    for new in rows:
        pending = [new]
        while pending:
            row = pending.pop()
            columns = [p for p in range(3) if 0 < row[p] < unit]
            for i, other in enumerate(waiting):
                shared = [p for p in columns if 0 < other[p] < unit]
                if len(shared) > 1:
                    p, q = shared[:2]
                    _shift_around([(row, p), (row, q), (other, q), (other, p)], unit, random_words)
                    pending += [row, waiting.pop(i)]
                    break
            else:
                if columns:
                    waiting.append(row)
    if waiting:  # three rows, each with a different pair of fractional columns
        a, b, c = (next(row for row in waiting if not 0 < row[p] < unit) for p in (2, 0, 1))
        _shift_around([(a, 0), (a, 1), (b, 1), (b, 2), (c, 2), (c, 0)], unit, random_words)
    rounded: Array = whole + np.array(rows) // unit
    return rounded


def _shift_around(cycle: list[tuple[list[int], int]], unit: int, random_words: Iterator[int]) -> None:
    """Add an amount to every other entry of a cycle and subtract it from the others, so that one entry becomes whole."""
    values = [row[p] for row, p in cycle]
    up = min(unit - value if i % 2 == 0 else value for i, value in enumerate(values))
    down = min(value if i % 2 == 0 else unit - value for i, value in enumerate(values))
    amount = up if next(random_words) % (up + down) < down else -down
    for i, (row, p) in enumerate(cycle):
        row[p] += amount if i % 2 == 0 else -amount


def assign_groups(group_of_row: Array, class_of_row: Array, sizes: Array, seed: int) -> Array:
    """Return the part of each row, 0, 1 or 2, the same for all rows of a group.

    Args:
        group_of_row: The group of each row, from 0, (N,).
        class_of_row: The class of each row, from 0, (N,).
        sizes: The number of rows in each part, (3,).
        seed: Seed of the random split.

    Raises:
        ValueError: If there are fewer groups than parts.
    """
    group_sizes, n = np.bincount(group_of_row), len(group_of_row)
    parts = np.flatnonzero(sizes).tolist()
    if len(group_sizes) < len(parts):
        raise ValueError(f"groups must be {len(parts)} or more, one for each part, got {len(group_sizes)}")
    class_sizes = np.bincount(class_of_row)
    lacking = np.multiply.outer(sizes, class_sizes) / n  # rows of each class that each part still lacks
    classes_by_group = class_of_row[np.argsort(group_of_row, kind="stable")]
    starts = group_sizes.cumsum() - group_sizes
    order = np.lexsort((words(len(group_sizes), seed, Stream.SPLIT, 2), -group_sizes)).tolist()  # the largest first
    part_of_group, empty = np.empty(len(group_sizes), np.int64), list(parts)
    for groups_left, group in zip(range(len(order), 0, -1), order, strict=True):
        in_group = classes_by_group[starts[group] : starts[group] + group_sizes[group]]
        classes, counts = np.unique(in_group, return_counts=True)
        need = lacking[:, classes] @ (counts / class_sizes[classes])
        candidates = empty if groups_left == len(empty) else parts  # the last groups go to the parts that have none
        part = int(candidates[np.argmax(need[candidates])])
        part_of_group[group] = part
        lacking[part, classes] -= counts
        empty = [other for other in empty if other != part]
    return part_of_group[group_of_row]
