"""Targets: the index of a class, or a standardized quantity; predictions come back as they were written."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen
from fnloop.data.cells import number_cells, text_cells
from fnloop.data.standardization import mean_and_scale


@frozen
class ClassEncoder:
    """Encode labels as the indices of their classes.

    Args:
        column: Name of the target.
        classes: The classes, in order: text, integers, floats or booleans.
    """

    column: str
    classes: tuple[Any, ...]

    def encode(self, series: Any) -> Array:
        """Return the index of each label, (N,); -1 for a missing one.

        Args:
            series: The pandas series of the target.

        Raises:
            ValueError: If a label is not one of the classes.
        """
        texts, codes = text_cells(series)
        index = {str(label): i for i, label in enumerate(self.classes)}
        unknown = [text for text in texts if text not in index]
        if unknown:
            raise ValueError(f"target {short(self.column)} must be one of {listed(self.classes)}, got {short(unknown[0])}")
        return np.array([*(index[text] for text in texts), -1], np.int64)[codes]

    def decode(self, predicted: Array) -> Array:
        """Return the labels of predicted indices.

        Args:
            predicted: The indices, (N,).

        Raises:
            ValueError: If one is not the index of a class.
        """
        indices: Array = np.asarray(predicted)
        last = len(self.classes) - 1
        if indices.dtype.kind not in "iu" or ((indices < 0) | (indices > last)).any():
            raise ValueError(f"predicted must be indices of classes, integers from 0 to {last}, got {short(predicted)}")
        return np.array(self.classes)[indices]

    def in_units(self, deviations: Array) -> Array:
        """Return deviations of probabilities unchanged.

        Args:
            deviations: The deviations, (N,).
        """
        return deviations


@frozen
class QuantityEncoder:
    """Standardize a quantity: (y - mean) / scale.

    Args:
        column: Name of the target.
        mean: Its mean in the training part.
        scale: Its standard deviation there.
        decimal: The decimal mark of numbers in text.
    """

    column: str
    mean: float
    scale: float
    decimal: str = "."

    def encode(self, series: Any) -> Array:
        """Return the standardized quantities, (N,); NaN for a missing one, or for text that is no number.

        Args:
            series: The pandas series of the target.
        """
        return (number_cells(series, self.decimal)[0] - self.mean) / self.scale

    def decode(self, predicted: Array) -> Array:
        """Return predictions in the units of the target, float64: float32 lacks the digits of a mean far above the spread.

        Args:
            predicted: Standardized predictions, (N,).
        """
        return np.asarray(predicted, np.float64) * self.scale + self.mean

    def in_units(self, deviations: Array) -> Array:
        """Return deviations of predictions in the units of the target.

        Args:
            deviations: Deviations of standardized predictions, (N,).
        """
        return np.asarray(deviations, np.float64) * self.scale


def fit_quantity(name: str, series: Any, decimal: str) -> QuantityEncoder:
    """Return the encoder of a quantity.

    Args:
        name: Name of the target.
        series: The target in the training part.
        decimal: The decimal mark of numbers in text.
    """
    values = number_cells(series, decimal)[0]
    mean, scale = mean_and_scale(values[~np.isnan(values)][:, None])
    return QuantityEncoder(name, float(mean[0]), float(scale[0]), decimal)
