"""The rows that a multilayer perceptron is trained on, and the batches of an iteration."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fnloop.core.arrays import Array
from fnloop.engines.base import Examples
from fnloop.sklearn.network import dense


class Rows(NamedTuple):
    """Examples.

    Attributes:
        x: An array or a sparse matrix, (N, D).
        y: Targets as the loss takes them, (N,) or (N, K).
        weights: (N,), or None.
    """

    x: Any
    y: Array
    weights: Array | None = None

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def cast(self, dtype: str) -> "Rows":
        """Return the rows in a dtype."""
        x = self.x.astype(dtype, copy=False)
        weights = None if self.weights is None else self.weights.astype(dtype, copy=False)
        return Rows(x.tocsr() if hasattr(x, "tocsr") else x, self.y.astype(dtype, copy=False), weights)


def iteration_batches(rows: Rows, size: int, order: Array | None) -> Iterator[Examples]:
    """Yield the batches of one iteration.

    Args:
        rows: The examples.
        size: Examples in a batch.
        order: The order of the examples; None for the order in which they are. A single batch keeps that order, too.
    """
    n = len(rows)
    for start in range(0, n, size):
        taken = slice(start, start + size)
        chosen: Any = taken if order is None or size >= n else order[taken]
        weights = None if rows.weights is None else relative(rows.weights[chosen])
        yield dense(rows.x[chosen]), rows.y[chosen], weights


def relative(weights: Array) -> Array:
    """Return weights with a mean of 1, so that a mean over examples is the weighted mean; zeros if all are zero."""
    total = weights.sum()
    return weights * (len(weights) / total) if total > 0 else np.zeros_like(weights)
