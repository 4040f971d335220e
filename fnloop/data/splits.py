"""Split a dataset into training, validation and test parts: by class, by group, or in order."""

from collections.abc import Iterator
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
    """A dataset in parts; a part whose fraction was 0 is None. The rows of each are in the order of the dataset.

    It unpacks: `train, validation, test = fl.split(data)`.
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
    """Split a dataset at random: every row is in one part, and each class is spread evenly over the parts.

    A part's share of a class differs from its share of all rows by less than one row. Different targets are different
    classes, so that where all differ, as in regression, the split is a plain random one.

    Args:
        test: The fraction of all rows, in [0, 1).
        validation: The fraction of the other rows, in [0, 1).
        stratify: Whether to spread the classes.
        groups: One label a row, such as a patient's; rows of one group stay together. Sizes and classes are then only as even
            as the groups allow: the largest come first, each to the part that lacks it most.
        seed: Of the random choice, in [0, 2^64). None keeps the order: the first rows are for training, the last for the
            test, as for time series; it needs `stratify=False`.

    Raises:
        TypeError: If the data is not a dataset, or an argument is not of its type.
        ValueError: If a fraction is outside its interval, a part would be empty, or `groups` does not fit the data.

    Examples:
        >>> data = Dataset(np.arange(10.0).reshape(10, 1), [0, 1, 1, 1, 0, 1, 0, 1, 0, 1])
        >>> parts = split(data, test=0.5, validation=0)
        >>> parts.train.y.sum(), parts.test.y.sum()
        (np.int64(3), np.int64(3))

    Source: Cox 1987, A constructive procedure for unbiased controlled rounding.
    """
    if not isinstance(data, Dataset):
        raise TypeError(f"data must be a fl.Dataset(x, y), got {short(data)}")
    sizes = _sizes(len(data), _fraction("test", test), _fraction("validation", validation))
    seed, stratify = _seed("seed", seed), boolean("stratify", stratify)
    group = None if groups is None else _codes_of_groups(groups, len(data))
    if seed is None and (stratify or group is not None):
        raise ValueError("seed must be an integer where classes are spread (stratify=True) or groups kept together, got None")
    classes = _codes_of_classes(data.y) if stratify else np.zeros(len(data), np.int64)
    if group is not None:
        part = _by_group(group, classes, sizes, seed)
    else:
        part = np.repeat(np.arange(3), sizes) if seed is None else _by_class(classes, sizes, seed)
    train, validated, tested = (_take(data, np.flatnonzero(part == place)) for place in range(3))
    return Split(train, validated, tested)  # type: ignore[arg-type]  # there are rows for training


def _take(data: Dataset, rows: Array) -> Dataset | None:
    """The dataset's rows, with all its classes, also those that are in other rows."""
    if not len(rows):
        return None
    labels = unique_labels(data.y) if data.y.dtype.kind in "Ub" else ()
    classes = data.classes or (labels if len(labels) > 1 else ())
    weights = None if data.weights is None else data.weights[rows]
    return evolve(data, x=data.x[rows], y=data.y[rows], weights=weights, classes=classes)


def _sizes(n: int, test: float, validation: float) -> Array:
    """The number of rows in each part, at least one where the fraction is not 0."""
    tested = max(test > 0, round(n * test))
    validated = max(validation > 0, round((n - tested) * validation))
    if n - tested - validated < 1:
        raise ValueError(
            f"test and validation must leave a row for training, got {short(test)} and "
            f"{short(validation)} of {n} row{'s' * (n > 1)}"
        )
    return np.array([n - tested - validated, validated, tested])


def _codes_of_classes(y: Array) -> Array:
    """The class of each row; those of one row are one class together, as each of them is in one part anyway."""
    _, codes, counts = np.unique(y, axis=0, return_inverse=True, return_counts=True)
    codes = codes.reshape(-1)
    codes[counts[codes] == 1] = len(counts)
    return np.unique(codes, return_inverse=True)[1]


def _codes_of_groups(groups: Any, n: int) -> Array:
    values = np.asarray(groups)
    if values.dtype.kind == "O" and all(isinstance(value, str) for value in values.flat):
        values = values.astype(str)
    if values.dtype.kind not in "biufUSM":
        raise TypeError(f"groups must be numbers or strings, got {short(groups)}")
    if values.shape != (n,):
        raise ValueError(f"groups must be one label for each of the {n} rows, got shape {values.shape}")
    if (values != values).any():
        raise ValueError(f"groups must have no missing labels, got one in row {int((values != values).argmax())}")
    return np.unique(values, return_inverse=True)[1]


def _by_class(classes: Array, sizes: Array, seed: int) -> Array:
    """The part of each row."""
    in_class, n = np.bincount(classes), len(classes)
    draws = iter(words(3 * len(in_class) + 1, seed, Stream.SPLIT, 1).tolist())
    ends = _rounded(np.multiply.outer(in_class, sizes), n, draws).cumsum(axis=1)
    order = np.lexsort((words(n, seed, Stream.SPLIT, 0), classes))
    place = np.arange(n) - np.repeat(in_class.cumsum() - in_class, in_class)  # within the class, in random order
    part = np.empty(n, np.int64)
    part[order] = (place[:, None] >= ends[classes[order], :2]).sum(axis=1)
    return part


def _rounded(table: Array, unit: int, draws: Iterator[int]) -> Array:
    """A table of three columns whose rows and columns sum to multiples of the unit, rounded to multiples, in units.

    All sums stay, each entry goes to the next multiple below or above, and is expected to be what it was: while two rows have
    broken entries in the same two columns, a random one of the two largest amounts that can go round these four is moved.
    """
    whole, broken = np.divmod(table, unit)
    waiting: list[list[int]] = []  # rows with broken entries, any two of which share one column at most
    rows = broken.tolist()
    for new in rows:
        left = [new]
        while left:
            row = left.pop()
            columns = [p for p in range(3) if 0 < row[p] < unit]
            for i, other in enumerate(waiting):
                shared = [p for p in columns if 0 < other[p] < unit]
                if len(shared) > 1:
                    p, q = shared[:2]
                    _go_round([(row, p), (row, q), (other, q), (other, p)], unit, draws)
                    left += [row, waiting.pop(i)]
                    break
            else:
                if columns:
                    waiting.append(row)
    if waiting:  # three rows, each pair of columns broken in one of them
        a, b, c = (next(row for row in waiting if not 0 < row[p] < unit) for p in (2, 0, 1))
        _go_round([(a, 0), (a, 1), (b, 1), (b, 2), (c, 2), (c, 0)], unit, draws)
    rounded: Array = whole + np.array(rows) // unit
    return rounded


def _go_round(entries: list[tuple[list[int], int]], unit: int, draws: Iterator[int]) -> None:
    """Add an amount to every other entry and take it from those between, so that one of them is whole."""
    values = [row[p] for row, p in entries]
    up = min(unit - value if i % 2 == 0 else value for i, value in enumerate(values))
    down = min(value if i % 2 == 0 else unit - value for i, value in enumerate(values))
    amount = up if next(draws) % (up + down) < down else -down
    for i, (row, p) in enumerate(entries):
        row[p] += amount if i % 2 == 0 else -amount


def _by_group(groups: Array, classes: Array, sizes: Array, seed: int) -> Array:
    """The part of each row, the same for all of a group."""
    members, n = np.bincount(groups), len(groups)
    wanted = np.flatnonzero(sizes).tolist()
    if len(members) < len(wanted):
        raise ValueError(f"groups must be {len(wanted)} or more, one for each part, got {len(members)}")
    of_class = np.bincount(classes)
    lacking = np.multiply.outer(sizes, of_class) / n  # rows of each class that each part still lacks
    sorted_classes, starts = classes[np.argsort(groups, kind="stable")], members.cumsum() - members
    order = np.lexsort((words(len(members), seed, Stream.SPLIT, 2), -members)).tolist()
    parts, empty = np.empty(len(members), np.int64), list(wanted)
    for left, group in zip(range(len(order), 0, -1), order, strict=True):
        found, counts = np.unique(sorted_classes[starts[group] : starts[group] + members[group]], return_counts=True)
        lack = lacking[:, found] @ (counts / of_class[found])
        allowed = empty if left == len(empty) else wanted  # the last groups are for the parts that have none
        part = int(allowed[np.argmax(lack[allowed])])
        parts[group] = part
        lacking[part, found] -= counts
        empty = [other for other in empty if other != part]
    return parts[groups]
