"""Sums over examples and positions whose rounding error does not grow with their number."""

import math
from typing import Any

import numpy as np

TERMS = 32  # values that are added in sequence


def total(x: Any, keep: int = 0) -> Any:
    """Return the sum over all axes but the first `keep` and the last, in the dtype of x, to a few rounding errors.

    NumPy adds along these axes in sequence, with an error that grows: in float32, the mean of three million pixels of 250 is
    247. This sums 32 values, then 32 of these sums, and so on, which is as fast. JAX already sums in a tree.

    Args:
        x: The values.
        keep: The number of leading axes to keep. Default: `0`.

    Shapes:
        x is (*kept, ..., C), the sum is (*kept, C).
    """
    if not isinstance(x, np.ndarray):
        return x.sum(tuple(range(keep, x.ndim - 1)))
    kept, channels = x.shape[:keep], x.shape[-1]
    rows = x.reshape(math.prod(kept), math.prod(x.shape[keep:-1]), channels)
    return _sum(rows).reshape(*kept, channels)


def mean(x: Any, keep: int = 0) -> Any:
    """Return the mean over all axes but the first `keep` and the last, with the accuracy of `total`."""
    return total(x, keep) / math.prod(x.shape[keep:-1])


def _sum(rows: Any) -> Any:
    n, length, channels = rows.shape
    if length <= 2 * TERMS:
        return rows.sum(1)
    each = length // TERMS
    in_turn = rows[:, : TERMS * each].reshape(n, TERMS, each, channels)
    return _sum(in_turn.sum(1)) + rows[:, TERMS * each :].sum(1)
