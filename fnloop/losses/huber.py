"""The Huber loss."""

from typing import Any

from fnloop.core.checks import Positive
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.losses.regression import Regression, Slope


@frozen
class Huber(Regression):
    """Half the squared error where it is small, and from delta on the absolute one: an outlier pulls no harder than delta.

        loss = mean_k (e²/2 where |e| <= delta, else delta (|e| - delta/2)), e = f_k - y_k
        df = clip(f - y, -delta, delta) / (N K)

    Args:
        delta: the error where the line begins, above 0; in the units of the targets.
    Shapes: `outputs` f are (N, K); `targets` y are (N, K), or (N,) for K = 1.
    Raises: TypeError, ValueError: if delta is not a number above 0.
    Source: Huber 1964.
    """

    delta: Positive = 1.0

    def rho(self, error: Any) -> tuple[Any, Slope]:
        near = namespace(error).clip(error, -self.delta, self.delta)
        return near * (error - near / 2), lambda scale: near * scale
