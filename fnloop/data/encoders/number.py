"""Numbers: centered, scaled, clipped smoothly, with a flag for missing cells."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.records import frozen
from fnloop.data.schema import Cells
from fnloop.data.standardization import mean_and_scale

Scaling = Literal["robust", "standard"]
CLIP = 3.0
SMALLEST = 1e-150  # a scale; a number of 1e150 divided by a smaller one would overflow
RARE = 0.001  # a column in which fewer than this share of the rows differ from the others is left out


@frozen
class NumberEncoder:
    """Encode a column of numbers as one column, or two with the flag for missing cells.

        z = (x - center) / scale        clipped = z / sqrt(1 + (z / clip)²)

    A missing cell has the center. The clip keeps an outlier within `±clip` and hardly changes the other numbers.

    Args:
        column: Name of the column.
        center: The median, or the mean.
        scale: The distance between the quartiles, or the standard deviation; positive.
        clip: The bound of an encoded number; None for no bound.
        flag: Whether a second column is 1 for a missing cell and 0 for any other.

    Source: Holzmüller et al. 2024, Better by default.
    """

    column: str
    center: float
    scale: float
    clip: float | None = CLIP
    flag: bool = False

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return 1 + self.flag

    def encode(self, cells: Cells) -> tuple[Array, Array]:
        """Return the encoded cells, (N, width), and whether each is no number, (N,).

        Args:
            cells: The cells of the column.
        """
        missing = np.isnan(cells.values)
        z = (np.where(missing, self.center, cells.values) - self.center) / self.scale
        z = z if self.clip is None else z / np.hypot(1.0, z / self.clip)
        encoded = [z, missing.astype(np.float64)] if self.flag else [z]
        return np.stack(encoded, axis=1), cells.odd


def fit_number(name: str, cells: Cells) -> NumberEncoder | None:
    """Return the encoder of a column of numbers; None if it is nearly constant.

    Args:
        name: Name of the column.
        cells: Its cells in the training part.
    """
    missing = np.isnan(cells.values)
    numbers = cells.values[~missing]
    if not len(numbers) or _is_nearly_constant(numbers):
        return NumberEncoder(name, 0.0, 1.0, CLIP, True) if _is_informative(missing) else None
    center = float(np.median(numbers))
    return NumberEncoder(name, center, robust_scale(numbers), CLIP, bool(missing.any()))


def fit_standard(cells: Mapping[str, Cells]) -> dict[str, NumberEncoder]:
    """Return the encoders of columns of numbers by their means and standard deviations, without a clip.

    A constant column is kept, with scale 1.

    Args:
        cells: The cells of each column in the training part.
    """
    columns = {name: part.values for name, part in cells.items()}
    missing = {name: np.isnan(values) for name, values in columns.items()}
    filled = [np.where(missing[name], np.nanmean(values), values)[:, None] for name, values in columns.items()]
    means, scales = mean_and_scale(np.concatenate(filled, axis=1)) if filled else (np.empty(0), np.empty(0))
    return {
        name: NumberEncoder(name, float(mean), float(scale), None, bool(missing[name].any()))
        for name, mean, scale in zip(columns, means, scales, strict=True)
    }


def _is_nearly_constant(numbers: Array) -> bool:
    usual = np.unique_counts(numbers).counts.max()
    spread = mean_and_scale(numbers[:, None])[1][0]
    constant = numbers.max() - numbers.min() <= 0 or (spread == 1.0 and np.ptp(numbers) < 1e-12 * np.abs(numbers).max())
    return bool(constant or len(numbers) - usual < RARE * len(numbers))


def _is_informative(missing: Array) -> bool:
    return bool(RARE * len(missing) <= min(missing.sum(), (~missing).sum()) > 0)


def robust_scale(numbers: Array) -> float:
    """Return the distance between the quartiles; if it is 0, half the range.

    Args:
        numbers: The numbers, not all equal.

    Examples:
        >>> robust_scale(np.array([1.0, 2.0, 3.0, 4.0, 5.0])), robust_scale(np.array([0.0, 0.0, 0.0, 0.0, 5.0]))
        (2.0, 2.5)
    """
    low, high = np.quantile(numbers, [0.25, 0.75])
    scale = float(high - low)
    smallest = max(1e-12 * float(np.abs(numbers).max()), SMALLEST)  # a smaller distance is one of rounding errors
    return scale if scale > smallest else max(float(numbers.max() / 2 - numbers.min() / 2), smallest)
