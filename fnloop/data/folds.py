"""Folds for cross-validation: by class, by group, or at random."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import boolean, integer
from fnloop.core.formatting import short
from fnloop.core.random import Stream, words
from fnloop.data.dataset import Dataset
from fnloop.data.splits import assign_groups, class_indices, group_indices

_folds, _seed = integer(2), integer(0, 2**64)


def assign_folds(data: Dataset, folds: int, *, stratify: bool = True, groups: Any = None, seed: int = 0) -> Array:
    """Return the fold of each row, 0 to `folds - 1`.

    Without groups, the sizes of two folds differ by at most one row, and with `stratify` so do their numbers of rows of a
    class. With groups they are only as even as the groups allow.

    Args:
        data: The dataset.
        folds: The number of folds, at least 2.
        stratify: Whether each class has the same share of every fold; every distinct target is a class, as in `fl.split`.
        groups: One label for each row; rows with the same label are in one fold. Default: None, no groups.
        seed: The seed of the folds, in [0, 2^64).

    Raises:
        TypeError: If `data` is not a `Dataset`, or an argument has the wrong type.
        ValueError: If there are more folds than rows or groups, or `groups` does not match the data.

    Examples:
        >>> data = Dataset(np.zeros((6, 1)), [0, 0, 0, 1, 1, 1])
        >>> np.bincount(assign_folds(data, 3)).tolist()
        [2, 2, 2]
    """
    if not isinstance(data, Dataset):
        raise TypeError(f"data must be a fl.Dataset(x, y), got {short(data)}")
    count, n, seed = _folds("folds", folds), len(data), _seed("seed", seed)
    if count > n:
        raise ValueError(f"folds must be at most the number of rows, {n}, got {count}")
    class_of_row = class_indices(data.y) if boolean("stratify", stratify) else np.zeros(n, np.int64)
    if groups is not None:
        sizes = np.bincount(np.arange(n) % count)
        return assign_groups(group_indices(groups, n), class_of_row, sizes, seed)
    fold_of_row = np.empty(n, np.int64)
    fold_of_row[np.lexsort((words(n, seed, Stream.SPLIT, 3), class_of_row))] = np.arange(n) % count
    return fold_of_row
