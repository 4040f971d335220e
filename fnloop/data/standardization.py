"""Mean and scale of each column of a table, where a spread of rounding noise is no spread."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array

NOISE = 16  # rounding errors of the largest value: what a short computation may leave between values that should be equal
EPSILON = float(np.finfo(np.float64).eps)
SMALLEST = 1e-300  # below it a spread has no room in float64 for a scale that is much smaller


def mean_and_scale(x: Array, epsilon: Any = EPSILON) -> tuple[Array, Array]:
    """The mean and the standard deviation of each column; the scale of a constant column is 1.

    A column is constant if its largest and its smallest value differ by at most 16 rounding errors of the larger one, or by
    less than 1e-300. What was 0.19 in every row and becomes 0.2 then moves by 0.01, not by 0.01 over a rounding error.
    The number of rows plays no part: timestamps in nanoseconds, a second apart, are no constant, however many there are.

    Args:
        epsilon: the relative rounding error of the values, one for all columns or one for each, (D,).
    Shapes: x is (N, D), of float64; mean and scale are (D,).
    """
    low, high = x.min(axis=0), x.max(axis=0)
    spread = high - low
    constant = spread <= np.maximum(NOISE * epsilon * np.maximum(abs(low), abs(high)), SMALLEST)
    unit = np.where(constant, 1.0, spread)
    inside = (x - low) / unit  # in [0, 1], so that neither a large mean nor a tiny spread costs digits
    return low + unit * inside.mean(axis=0), np.where(constant, 1.0, unit * inside.std(axis=0))
