"""Mean and scale of each column; a column that differs only by rounding errors counts as constant."""

import numpy as np

from fnloop.core.arrays import Array

ROUNDING_ERRORS = 16  # of the largest value: what a short computation may leave between values that should be equal
EPSILON = float(np.finfo(np.float64).eps)
SMALLEST_SPREAD = 1e-300  # below it, float64 cannot represent a scale that is much smaller than the spread


def mean_and_scale(x: Array, epsilon: float | Array = EPSILON) -> tuple[Array, Array]:
    """Return the mean and the standard deviation of each column; the scale of a constant column is 1.

    A column is constant if its largest and smallest value differ by at most 16 rounding errors of the larger one, or by less
    than 1e-300. Without this rule, a column of 0.19 in every row would have a scale of one rounding error, and a new value of
    0.2 would be 0.01 divided by that. The rule does not depend on the number of rows: a column of timestamps in nanoseconds,
    one second apart, is never constant.

    Args:
        x: The values, of float64.
        epsilon: Relative rounding error of the values: one for all columns, or one for each. By default that of float64.

    Shapes:
        x: (N, D).
        epsilon: () or (D,).
        mean, scale: (D,).

    Examples:
        >>> mean_and_scale(np.array([[1.0, 5.0], [3.0, 5.0]]))
        (array([2., 5.]), array([1., 1.]))
    """
    low, high = x.min(axis=0), x.max(axis=0)
    spread = high - low
    is_constant = spread <= np.maximum(ROUNDING_ERRORS * epsilon * np.maximum(abs(low), abs(high)), SMALLEST_SPREAD)
    unit = np.where(is_constant, 1.0, spread)
    unit_x = (x - low) / unit  # in [0, 1], so that a large mean or a small spread costs no precision
    return low + unit * unit_x.mean(axis=0), np.where(is_constant, 1.0, unit * unit_x.std(axis=0))
