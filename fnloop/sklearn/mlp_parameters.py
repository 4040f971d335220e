"""Values that follow from the parameters of a multilayer perceptron and its data: widths, batch size, dtype."""

from collections.abc import Iterable
from typing import Any

import numpy as np

LARGEST_OFFSET = 1e4  # a column's largest value relative to its range: beyond, float32 keeps fewer than three digits of it
LARGEST_VALUE = 1e15  # the square of larger ones may overflow float32


def hidden_sizes(value: Any) -> list[int]:
    """Return the widths of the hidden layers as a list.

    Args:
        value: A number, or a sequence of numbers.

    Raises:
        ValueError: If a width is not above 0.
    """
    widths = list(value) if isinstance(value, Iterable) else [value]
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


def choose_dtype(x: Any, batches: int) -> str:
    """Return the dtype to train in: float32, which takes a third to two thirds of the time, unless it may lose something.

    It is float64 for features in float64 if all rows are one batch, as then nothing but rounding changes a result; or if a
    column's values are so far from zero that float32 hardly tells them apart.

    Args:
        x: The features, float32 or float64, an array or a sparse matrix.
        batches: The number of batches in an iteration.
    """
    if x.dtype == np.float32:
        return "float32"
    if batches == 1 or hasattr(x, "tocsr"):
        return "float64" if batches == 1 else "float32"
    low, high = x.min(axis=0), x.max(axis=0)
    span, size = high - low, np.maximum(np.abs(low), np.abs(high))
    return "float64" if ((span > 0) & (size > LARGEST_OFFSET * span)).any() or size.max() > LARGEST_VALUE else "float32"
