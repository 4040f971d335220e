"""The Huber loss."""

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import Positive
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.losses.regression import Regression, Slope


@frozen
class Huber(Regression):
    """Half the squared error up to delta, linear beyond it: the gradient of an outlier is at most delta.

        loss = mean_k (e²/2 where |e| <= delta, else delta (|e| - delta/2)), e = f_k - y_k
        df = clip(f - y, -delta, delta) / (N K)

    Args:
        delta: The absolute error at which the loss becomes linear, above 0; in the units of the targets. Default: 1.

    Shapes:
        outputs: (N, K), the predictions f.
        targets: (N, K), or (N,) for K = 1; the values y.

    Raises:
        TypeError: If delta is not a number.
        ValueError: If delta is not above 0.

    Source: Huber 1964.
    """

    delta: Positive = 1.0

    stacks = True

    def rho(self, error: AnyArray) -> tuple[AnyArray, Slope]:
        """Return the Huber function of the error, and its slope."""
        near = namespace(error).clip(error, -self.delta, self.delta)
        return near * (error - near / 2), lambda scale: near * scale
