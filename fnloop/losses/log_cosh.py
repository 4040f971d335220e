"""The logarithm of the hyperbolic cosine of the error."""

from typing import Any

from fnloop.losses.regression import Regression, Slope
from fnloop.namespace import namespace
from fnloop.record import record


@record
class LogCosh(Regression):
    """Half the squared error where it is small, the absolute one where it is large, smooth between; no error overflows.

        loss = mean_k log cosh(f_k - y_k)        df = tanh(f - y) / (N K)

    Shapes: `outputs` f are (N, K); `targets` y are (N, K), or (N,) for K = 1.
    """

    def rho(self, error: Any) -> tuple[Any, Slope]:
        xp = namespace(error)
        size = error * xp.sign(error)
        # log cosh a = a + log((1 + exp(-2a)) / 2); with expm1 small errors keep their digits
        return size + xp.log1p(xp.expm1(-2 * size) / 2), lambda scale: xp.tanh(error) * scale
