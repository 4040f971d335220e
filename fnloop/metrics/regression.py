"""How far predicted quantities are from the true ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.metrics.metric import widest


@frozen
class R2:
    """The coefficient of determination, R² = 1 - sum (y - f)² / sum (y - mean y)²; over several outputs, their mean.

    For constant targets it is 1 if the residuals are 0, else 0, as in scikit-learn. The targets are summed as differences from
    the first of them, in float64, so that their spread keeps its digits however far their mean is from 0. They are read in the
    trainer's dtype: in float32, targets that agree in their first 7 digits are all the same.

    Shapes: `outputs` and `targets` are (N, K), or `targets` (N,) for K = 1.
    """

    name = "r2"
    task = "regression"
    mode = "max"

    def sums(self, outputs: Any, targets: Any) -> list[Any]:
        """The number of examples, and for each output the first target, the sums of the differences d from it and of d², and
        that of the squared residuals.
        """
        y = targets.reshape(outputs.shape).astype(widest(outputs))
        d, residual = y - y[0], y - outputs
        each = namespace(y).stack((y[0], d.sum(0), (d * d).sum(0), (residual * residual).sum(0)), 1)
        return [len(y), *each.reshape(-1)]

    def merge(self, a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
        """The statistics of both, with the differences of b taken from the first target of a."""
        merged, n = [a[0] + b[0]], b[0]
        for i in range(1, len(a), 4):
            first, d, squares, residual = a[i : i + 4]
            other, more, more_squares, more_residual = b[i : i + 4]
            shift = other - first
            merged += [first, d + (more + n * shift), squares + (more_squares + shift * (2 * more + n * shift))]
            merged.append(residual + more_residual)
        return merged

    def width(self, outputs: int) -> int:
        return 1 + 4 * outputs

    def value(self, sums: Array, examples: float) -> float:
        _, d, squares, residual = sums[1:].reshape(-1, 4).T
        spread = np.maximum(squares - d * d / sums[0], 0.0)
        constant = spread == 0
        ratio = residual / np.where(constant, 1.0, spread)
        return float(np.where(constant, residual == 0, 1 - ratio).mean())


@frozen
class RMSE:
    """The root of the mean squared error, in the units of the targets; over several outputs, the mean of their roots.

    It is scikit-learn's `root_mean_squared_error`. The sums are of float64.

    Shapes: `outputs` and `targets` are (N, K), or `targets` (N,) for K = 1.
    """

    name = "rmse"
    task = "regression"
    mode = "min"

    def sums(self, outputs: Any, targets: Any) -> list[Any]:
        y = targets.reshape(outputs.shape).astype(widest(outputs))
        return list(((y - outputs) ** 2).sum(0))

    def width(self, outputs: int) -> int:
        return outputs

    def value(self, sums: Array, examples: float) -> float:
        return float(np.sqrt(sums / examples).mean())


@frozen
class MAE:
    """The mean absolute error, mean |y - f| over examples and outputs, in the units of the targets; the smallest is best.

    Shapes: `outputs` and `targets` are (N, K), or `targets` (N,) for K = 1.
    """

    name = "mae"
    task = "regression"
    mode = "min"

    def sums(self, outputs: Any, targets: Any) -> list[Any]:
        y = targets.reshape(outputs.shape).astype(widest(outputs))
        return [abs(y - outputs).sum() / outputs.shape[1]]

    def width(self, outputs: int) -> int:
        return 1

    def value(self, sums: Array, examples: float) -> float:
        return float(sums[0] / examples)
