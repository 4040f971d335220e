"""Sums over examples and places that keep their digits, however many there are."""

import math
from typing import Any

import numpy as np

TERMS = 32  # values that are added one after the other


def total(x: Any, keep: int = 0) -> Any:
    """The sum over all axes but the first `keep` and the last, in x's own dtype, to a few rounding errors.

    NumPy adds along such axes one value after the other: the error grows with their number, and three million pixels of 250
    in float32 have a mean of 247. Here sums of 32 values are summed 32 at a time, and so on, which is no slower. JAX sums in
    a tree by itself.

    Shapes: x is (*kept, ..., C), the sum is (*kept, C).
    """
    if not isinstance(x, np.ndarray):
        return x.sum(tuple(range(keep, x.ndim - 1)))
    kept, channels = x.shape[:keep], x.shape[-1]
    rows = x.reshape(math.prod(kept), math.prod(x.shape[keep:-1]), channels)
    return _sum(rows).reshape(*kept, channels)


def mean(x: Any, keep: int = 0) -> Any:
    """The mean over all axes but the first `keep` and the last; see `total`."""
    return total(x, keep) / math.prod(x.shape[keep:-1])


def _sum(rows: Any) -> Any:
    n, length, channels = rows.shape
    if length <= 2 * TERMS:
        return rows.sum(1)
    each = length // TERMS
    in_turn = rows[:, : TERMS * each].reshape(n, TERMS, each, channels)
    return _sum(in_turn.sum(1)) + rows[:, TERMS * each :].sum(1)
