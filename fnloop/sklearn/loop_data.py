"""The data set that an estimator over a trainer is fitted on: rows in an order of their own, weights as repeated rows."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.random import Stream, words
from fnloop.core.records import evolve
from fnloop.data.dataset import Dataset
from fnloop.data.splits import split

MOST_REPEATS = 10  # mean number of copies of a row up to which weights become copies


def make_dataset(x: Array, y: Array, weights: Array | None, columns: Any = (), classes: int = 0) -> Dataset:
    """Return the rows as a data set that depends on neither their order nor the way in which they are weighted.

    Whole weights are copies of rows, unless they are many; rows of weight 0 are left out. Other weights have a mean of 1.

    Args:
        x: The features, (N, D).
        y: The targets, (N,) or (N, K).
        weights: The weights, (N,), at least 0; or None.
        columns: The names of the features. Default: none.
        classes: The number of classes, if the targets are their indices. Default: 0, for other targets.

    Raises:
        ValueError: If all weights are zero.
    """
    if weights is not None:
        x, y, weights = _apply(x, y, weights)
    order = np.lexsort((row_hashes(y), row_hashes(x)))  # by the targets only where features are equal
    return Dataset(
        x[order],
        y[order],
        None if weights is None else weights[order],
        columns=tuple(columns),
        classes=tuple(range(classes)),
    )


def _apply(x: Array, y: Array, weights: Array) -> tuple[Array, Array, Array | None]:
    """Return the rows of positive weight, copied as often as their weights say, or with weights of mean 1."""
    kept = np.flatnonzero(weights > 0)
    if not len(kept):
        raise ValueError(f"sample_weight times class_weight must be above 0 for at least one row, got {len(weights)} zeros")
    positive = weights[kept]
    if np.array_equal(positive, np.floor(positive)) and positive.sum() <= MOST_REPEATS * len(kept):
        rows = kept.repeat(positive.astype(np.int64))
        return x[rows], y[rows], None
    return x[kept], y[kept], positive / positive.mean()


def row_hashes(*arrays: Array) -> Array:
    """Return one 64-bit number for each row, the same for equal rows.

    Args:
        arrays: Arrays of numbers with N rows each.
    """
    total = np.zeros(len(arrays[0]), np.uint64)
    for i, array in enumerate(arrays):
        bits = np.ascontiguousarray(array.reshape(len(array), -1), np.float64).view(np.uint64)
        mixed = bits ^ (bits >> np.uint64(29))
        total += mixed @ (words(bits.shape[1], i, Stream.SPLIT) | np.uint64(1))
        total ^= total >> np.uint64(31)
    return total


def split_off(data: Dataset, fraction: float, stratify: bool, seed: int) -> tuple[Dataset, Dataset]:
    """Split a validation set off; equal rows stay together.

    Args:
        data: The data.
        fraction: The fraction of the rows in the validation set.
        stratify: Whether each class has the same share of both parts.
        seed: The seed of the split.

    Raises:
        ValueError: If there are too few rows.
    """
    _, first, kind = np.unique(row_hashes(data.x, data.y), return_index=True, return_inverse=True)
    if len(first) < 2:
        raise ValueError(f"validation_fraction={fraction} needs at least 2 different rows, got {len(first)}: n_samples = 1")
    different = Dataset(np.sort(first)[:, None], data.y[np.sort(first)])  # in the order of the data
    validation = split(different, test=0.0, validation=fraction, stratify=stratify, seed=seed).validation
    is_validation = np.isin(first[kind], validation.x)  # type: ignore[union-attr]  # the fraction is above 0
    return _take(data, ~is_validation), _take(data, is_validation)


def _take(data: Dataset, chosen: Array) -> Dataset:
    """Return the chosen rows."""
    weights = None if data.weights is None else data.weights[chosen]
    return evolve(data, x=data.x[chosen], y=data.y[chosen], weights=weights)
