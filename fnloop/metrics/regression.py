"""How far predicted quantities are from the true ones."""

from typing import Any

import numpy as np

from fnloop.metrics.metric import widest
from fnloop.record import record
from fnloop.typing import Array


@record
class R2:
    """The coefficient of determination, R² = 1 - sum (y - f)² / sum (y - mean y)²; over several outputs, their mean.

    For constant targets it is 1 if the residuals are 0, else 0, as in scikit-learn. The sums are of float64; digits are lost
    where the targets' mean is many orders of magnitude above their spread.

    Shapes: `outputs` and `targets` are (N, K), or `targets` (N,) for K = 1.
    """

    name = "r2"
    task = "regression"
    mode = "max"

    def sums(self, outputs: Any, targets: Any) -> list[Any]:
        y = targets.reshape(outputs.shape).astype(widest(outputs))
        return [*y.sum(0), *(y * y).sum(0), *((y - outputs) ** 2).sum(0)]

    def width(self, outputs: int) -> int:
        return 3 * outputs

    def value(self, sums: Array, examples: float) -> float:
        total, squares, residual = sums.reshape(3, -1)
        spread = np.maximum(squares - total * total / examples, 0.0)
        constant = spread <= 1e-15 * squares
        ratio = residual / np.where(constant, 1.0, spread)
        return float(np.where(constant, residual <= 1e-15 * squares, 1 - ratio).mean())


@record
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


@record
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
