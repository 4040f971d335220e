"""The batches of an epoch, in the order in which the epoch sees its examples."""

from collections.abc import Iterator, Sequence
from itertools import starmap

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import PositiveInt, Seed, integer
from fnloop.core.display import html_table, one_line, pluralize
from fnloop.core.random import permutation, permutations
from fnloop.core.records import frozen
from fnloop.data.dataset import Dataset, array_facts

CHUNK = 1 << 16  # bytes gathered at once, at most an eighth of the data; batches are views into a chunk


_size = integer(1)
_seed = integer(0, 2**64)
_epoch = integer(0)


@frozen
class Batch:
    """The examples of one step.

    Args:
        x: The features, (B, D) or with more dimensions.
        y: The targets, (B,) or (B, K).
        weights: The weights, (B,), or None.

    Examples:
        >>> Batch(np.zeros((2, 3)), np.ones(2))
        Batch(x=(2, 3) float64, y=(2,) float64, 2 examples)

    See Also:
        `Dataset`, `batches`
    """

    x: Array
    y: Array
    weights: Array | None = None

    def cast(self, dtype: str) -> tuple[Array, Array, Array | None]:
        """Return `(x, y, weights)` in a dtype; arrays that have it already are not copied.

        Args:
            dtype: Such as `"float32"`.
        """
        weights = None if self.weights is None else self.weights.astype(dtype, copy=False)
        return self.x.astype(dtype, copy=False), self.y.astype(dtype, copy=False), weights

    def __repr__(self) -> str:
        return one_line("Batch", array_facts(self.x, self.y, self.weights), pluralize(len(self.x), "example"))

    def _repr_html_(self) -> str:
        return html_table("Batch", {"examples": f"{len(self.x):,}", **array_facts(self.x, self.y, self.weights)})


def batches(dataset: Dataset, size: int, *, seed: int, epoch: int) -> Iterator[Batch]:
    """Return the batches of one epoch, in order: a pure function of the arguments.

    Every example is in exactly one batch; the last batch may be smaller. The order of an epoch does not depend on the epochs
    before it.

    Args:
        dataset: The examples.
        size: Examples in a batch, at least 1.
        seed: Seed of the order, in [0, 2^64).
        epoch: The epoch, counted from 0.

    Raises:
        TypeError: If `dataset` is not a `Dataset`, or another argument is not an integer.
        ValueError: If an argument is outside its range.

    Examples:
        >>> data = Dataset(np.zeros((5, 2)), np.arange(5))
        >>> [batch.y.tolist() for batch in batches(data, 2, seed=0, epoch=0)]
        [[3, 2], [4, 1], [0]]
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(f"dataset must be a fl.Dataset(x, y), got {type(dataset).__name__}")
    checked = _size("size", size), _seed("seed", seed), _epoch("epoch", epoch)
    return starmap(Batch, batches_from(dataset, *checked, 0, count_batches(dataset, checked[0]), None))


def count_batches(dataset: Dataset, size: int) -> int:
    """Return the number of batches in an epoch.

    Args:
        dataset: The examples.
        size: Examples in a batch.

    Examples:
        >>> count_batches(Dataset(np.zeros((5, 2)), np.arange(5)), 2)
        3
    """
    return -(-len(dataset) // size)


def batches_from(
    dataset: Dataset, size: PositiveInt, seed: Seed, epoch: int, first: int, stop: int, dtype: str | None
) -> Iterator[tuple[Array, Array, Array | None]]:
    """Yield `(x, y, weights)` of a range of an epoch's batches, so that an epoch can resume in its middle.

    Args:
        dataset: The examples.
        size: Examples in a batch.
        seed: Seed of the order.
        epoch: The epoch, counted from 0.
        first: Index of the first batch.
        stop: Index after the last batch.
        dtype: The dtype of the arrays; None keeps theirs.
    """
    order = permutation(len(dataset), seed, epoch)[: stop * size]
    total = dataset.x.nbytes + dataset.y.nbytes
    chunk = size * max(1, min(CHUNK, total // 8) * len(dataset) // (total * size))
    for start in range(first * size, len(order), chunk):
        rows = order[start : start + chunk]
        x, y = _gather(dataset.x, rows, dtype), _gather(dataset.y, rows, dtype)
        weights = None if dataset.weights is None else _gather(dataset.weights, rows, dtype)
        for low in range(0, len(rows), size):
            batch = slice(low, low + size)
            yield x[batch], y[batch], None if weights is None else weights[batch]


def _gather(array: Array, rows: Array, dtype: str | None) -> Array:
    gathered = np.asarray(array).take(rows, axis=0)  # reads only these rows of a memory-mapped file
    gathered = gathered.astype(dtype or gathered.dtype, copy=False)
    gathered.flags.writeable = False
    return gathered


def member_orders(n: int, seeds: Sequence[int], epoch: int, rows: Sequence[Array] | None = None) -> Array:
    """Return the order of each member's examples in an epoch, (K, N); (1, N) if all members have one order.

    Args:
        n: The number of examples.
        seeds: The seed of each member.
        epoch: The epoch, counted from 0.
        rows: For each member its rows of the data, equally many; None (the default) for all rows.
    """
    distinct = {seed: index for index, seed in enumerate(dict.fromkeys(seeds))}
    orders = permutations(n if rows is None else len(rows[0]), list(distinct), epoch)
    if rows is not None:
        return np.stack([part[orders[distinct[seed]]] for part, seed in zip(rows, seeds, strict=True)])
    return orders if len(distinct) == 1 else orders[[distinct[seed] for seed in seeds]]
