"""The scaling of the features that the default trainer of an estimator sees."""

from typing import NamedTuple

import numpy as np

from fnloop.core.arrays import Array
from fnloop.data.encoders.number import CLIP, robust_scale


class RobustScaling(NamedTuple):
    """Center and scale each column, and clip it smoothly: the numbers of `fl.Preprocessing`.

        z = (x - center) / scale        clipped = z / sqrt(1 + (z / 3)²)

    Attributes:
        center: The median of each column, (D,).
        scale: The distance between its quartiles, (D,); where it is 0, half the range; 1 for a constant column.
    """

    center: Array
    scale: Array

    def __call__(self, x: Array) -> Array:
        """Return the scaled features, (N, D), float64: finite for any finite features.

        Args:
            x: The features, (N, D).
        """
        z = (x.astype(np.float64) / 2 - self.center / 2) / (self.scale / 2)
        scaled: Array = z / np.hypot(1.0, z / CLIP)
        return scaled


def fit_scaling(x: Array) -> RobustScaling:
    """Return the scaling by the rows.

    Args:
        x: The features, (N, D).

    Examples:
        >>> fit_scaling(np.array([[0.0, 7.0], [1.0, 7.0], [2.0, 7.0], [9.0, 7.0]])).center
        array([1.5, 7. ])
    """
    columns = x.T.astype(np.float64)
    scales = [robust_scale(column) if column.min() < column.max() else 1.0 for column in columns]
    return RobustScaling(np.median(columns, axis=1), np.array(scales))
