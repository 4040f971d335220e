"""The mean squared error."""

from typing import Any

from fnloop.core.records import frozen
from fnloop.losses.regression import Regression, Slope


@frozen
class MeanSquaredError(Regression):
    """The mean over examples and outputs of the squared error: loss = mean_k (f_k - y_k)², df = 2 (f - y) / (N K).

    Where the square of an error is beyond the dtype, the loss is infinite: from errors of 1.8e19 on in float32.

    Shapes: `outputs` f are (N, K); `targets` y are (N, K), or (N,) for K = 1.
    """

    metrics = ("r2",)

    def rho(self, error: Any) -> tuple[Any, Slope]:
        return error * error, lambda scale: error * (2 * scale)
