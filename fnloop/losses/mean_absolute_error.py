"""The mean absolute error."""

from typing import Any

from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.losses.regression import Regression, Slope


@frozen
class MeanAbsoluteError(Regression):
    """The mean over examples and outputs of the absolute error: loss = mean_k |f_k - y_k|, df = sign(f - y) / (N K).

    At the kink, where the error is 0, the derivative is 0. The constant that it is least for is the median.

    Shapes: `outputs` f are (N, K); `targets` y are (N, K), or (N,) for K = 1.
    """

    metrics = ("r2",)

    def rho(self, error: Any) -> tuple[Any, Slope]:
        sign = namespace(error).sign(error)
        return error * sign, lambda scale: sign * scale
