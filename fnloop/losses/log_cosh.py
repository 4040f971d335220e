"""The logarithm of the hyperbolic cosine of the error."""

import math

from fnloop.core.arrays import AnyArray
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.losses.regression import Regression, Slope

LOG2 = math.log(2)


@frozen
class LogCosh(Regression):
    """A smooth loss: half the squared error for small errors, the absolute error for large ones. It never overflows.

        loss = mean_k log cosh(f_k - y_k)        df = tanh(f - y) / (N K)

    Shapes:
        outputs: (N, K), the predictions f.
        targets: (N, K), or (N,) for K = 1; the values y.
    """

    stacks = True

    def rho(self, error: AnyArray) -> tuple[AnyArray, Slope]:
        """Return log cosh of the error, and its slope."""
        xp = namespace(error)
        size = error * xp.sign(error)
        t, e = xp.tanh(xp.minimum(size, 1.0)), xp.exp(-size)
        # log cosh a = -log(1 - tanh² a) / 2 = a - log 2 + log(1 + exp(-2a)): each loses digits where the other is used.
        values = xp.where(size < 1, -0.5 * xp.log1p(-t * t), size + (xp.log1p(e * e) - LOG2))
        return values, lambda scale: xp.tanh(error) * scale
