"""Values that follow from the parameters of a multilayer perceptron and its data: widths, batch size, dtype."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.sklearn.network import dense

LARGEST_OFFSET = 1e4  # a column's largest value relative to its range: beyond, float32 keeps fewer than three digits of it
LARGEST_VALUE = 1e15  # the square of larger ones may overflow float32


def hidden_sizes(value: Any) -> list[int]:
    """Return the widths of the hidden layers as a list.

    Args:
        value: A number, or a sequence of numbers.

    Raises:
        TypeError: If a width is not an integer.
        ValueError: If a width is not above 0.
    """
    widths = list(value) if isinstance(value, Iterable) else [value]
    if not all(isinstance(width, int | np.integer) for width in widths):
        raise TypeError(f"hidden_layer_sizes must be integers, got {widths}")
    if any(width <= 0 for width in widths):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {widths}.")
    return [int(width) for width in widths]


def check_batch_size(value: int | str, rows: int) -> int:
    """Return the number of rows in a batch, at most all of them.

    Args:
        value: The number, or `"auto"` for `min(200, rows)`.
        rows: The number of rows.
    """
    return min(200 if value == "auto" else int(value), rows)


def choose_dtype(x: Any, targets: Array, batches: int) -> str:
    """Return the dtype to train in: float32, which takes a third to two thirds of the time, unless it may lose something.

    It is float64 if squares of features or targets may overflow float32. For features in float64 it is float64, too, if all
    rows are one batch, as then nothing but rounding changes a result; or if a column's values are so far from zero that
    float32 hardly tells them apart.

    Args:
        x: The features, float32 or float64, an array or a sparse matrix.
        targets: The targets, numbers.
        batches: The number of batches in an iteration.
    """
    low, high = (dense(extreme(axis=0)) for extreme in (x.min, x.max))
    size = np.maximum(np.abs(low), np.abs(high))
    if max(size.max(), np.abs(targets).max()) > LARGEST_VALUE:
        return "float64"
    if x.dtype == np.float32:
        return "float32"
    is_far = (high > low) & (size > LARGEST_OFFSET * (high - low))
    return "float64" if batches == 1 or is_far.any() else "float32"
