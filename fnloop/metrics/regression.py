"""Metrics for regression."""

from typing import Any

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.metrics.metric import Metric, Statistics, widest


@frozen
class R2(Metric):
    """The coefficient of determination; for several outputs, their mean.

        R² = 1 - sum (y - f)² / sum (y - mean y)²

    For constant targets it is 1 if all residuals are 0, else 0, as in scikit-learn. The targets are summed as differences from
    the first target, in float64, so that their variance is accurate however far their mean is from 0. They are read in the
    trainer's dtype: in float32, targets that agree in their first 7 digits are equal.

    Shapes:
        outputs: (N, K), the predictions f.
        targets: (N, K), or (N,) for K = 1; the values y.
    """

    name = "r2"
    task = "regression"
    mode = "max"
    stacks = True

    def sums(self, outputs: AnyArray, targets: AnyArray) -> list[Any]:
        """Return the number of examples, and four statistics of each output.

        They are the first target, and the sums of the differences d from it, of d², and of the squared residuals.
        """
        y = targets.reshape(outputs.shape).astype(widest(outputs))
        first, residual = y[..., :1, :], y - outputs
        d = y - first
        columns = (first[..., 0, :], d.sum(-2), (d * d).sum(-2), (residual * residual).sum(-2))
        return [y.shape[-2], *_by_output(namespace(y).stack(columns, -1))]

    def merge(self, a: Statistics, b: Statistics) -> list[Any]:
        """Return the statistics of both sets, with the differences of b taken from the first target of a."""
        merged, n = [a[0] + b[0]], b[0]
        for i in range(1, len(a), 4):
            first, d, squares, residual = a[i : i + 4]
            first_b, d_b, squares_b, residual_b = b[i : i + 4]
            shift = first_b - first
            merged += [first, d + (d_b + n * shift), squares + (squares_b + shift * (2 * d_b + n * shift))]
            merged.append(residual + residual_b)
        return merged

    def width(self, outputs: int) -> int:
        """Return the number of statistics: 1, and 4 for each output."""
        return 1 + 4 * outputs

    def value(self, sums: Array, examples: float) -> float:
        """Return the coefficient of determination."""
        _, d, squares, residual = sums[1:].reshape(-1, 4).T
        variation = np.maximum(squares - d * d / sums[0], 0.0)
        constant = variation == 0
        ratio = residual / np.where(constant, 1.0, variation)
        return float(np.where(constant, residual == 0, 1 - ratio).mean())


@frozen
class RMSE(Metric):
    """The root mean squared error, in the units of the targets; for several outputs, the mean of their roots.

    It is scikit-learn's `root_mean_squared_error`, summed in float64.

    Shapes:
        outputs: (N, K), the predictions f.
        targets: (N, K), or (N,) for K = 1; the values y.
    """

    name = "rmse"
    task = "regression"
    mode = "min"
    stacks = True

    def sums(self, outputs: AnyArray, targets: AnyArray) -> list[Any]:
        """Return the sum of squared errors of each output."""
        y = targets.reshape(outputs.shape).astype(widest(outputs))
        return list(_by_output(((y - outputs) ** 2).sum(-2)[..., None]))

    def width(self, outputs: int) -> int:
        """Return the number of outputs."""
        return outputs

    def value(self, sums: Array, examples: float) -> float:
        """Return the root mean squared error."""
        return float(np.sqrt(sums / examples).mean())


@frozen
class MAE(Metric):
    """The mean absolute error over examples and outputs, mean |y - f|, in the units of the targets.

    Shapes:
        outputs: (N, K), the predictions f.
        targets: (N, K), or (N,) for K = 1; the values y.
    """

    name = "mae"
    task = "regression"
    mode = "min"
    stacks = True

    def sums(self, outputs: AnyArray, targets: AnyArray) -> list[Any]:
        """Return the sum over examples of the mean absolute error of their outputs."""
        y = targets.reshape(outputs.shape).astype(widest(outputs))
        error = abs(y - outputs)
        return [error.reshape(*error.shape[:-2], -1).sum(-1) / outputs.shape[-1]]

    def width(self, outputs: int) -> int:
        """Return 1."""
        return 1

    def value(self, sums: Array, examples: float) -> float:
        """Return the mean absolute error."""
        return float(sums[0] / examples)


def _by_output(statistics: AnyArray) -> AnyArray:
    """Return the statistics of each output, (K, S), as one axis, (K S,); members of a population are the last axis."""
    return namespace(statistics).moveaxis(statistics.reshape(*statistics.shape[:-2], -1), -1, 0)
