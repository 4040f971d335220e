"""The logarithm of the hyperbolic cosine of the error."""

import math
from typing import Any

from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.losses.regression import Regression, Slope

LOG2 = math.log(2)


@frozen
class LogCosh(Regression):
    """Half the squared error where it is small, the absolute one where it is large, smooth between; no error overflows.

        loss = mean_k log cosh(f_k - y_k)        df = tanh(f - y) / (N K)

    Shapes: `outputs` f are (N, K); `targets` y are (N, K), or (N,) for K = 1.
    """

    def rho(self, error: Any) -> tuple[Any, Slope]:
        xp = namespace(error)
        size = error * xp.sign(error)
        t, e = xp.tanh(xp.minimum(size, 1.0)), xp.exp(-size)
        # log cosh a = -log(1 - tanh² a) / 2 = a - log 2 + log(1 + exp(-2a)): each form loses digits where the other is used.
        values = xp.where(size < 1, -0.5 * xp.log1p(-t * t), size + (xp.log1p(e * e) - LOG2))
        return values, lambda scale: xp.tanh(error) * scale
