"""The mean squared error."""

from fnloop.core.arrays import AnyArray
from fnloop.core.records import frozen
from fnloop.losses.regression import Regression, Slope


@frozen
class MeanSquaredError(Regression):
    """The squared error, averaged over outputs and examples.

        loss = mean_k (f_k - y_k)²        df = 2 (f - y) / (N K)

    An error whose square overflows the dtype, from 1.8e19 in float32, gives an infinite loss.

    Shapes:
        outputs: (N, K), the predictions f.
        targets: (N, K), or (N,) for K = 1; the values y.

    Examples:
        >>> import numpy as np
        >>> values, backward = MeanSquaredError().forward(np.array([[1.0], [4.0]]), np.array([1.0, 2.0]))
        >>> values, backward().ravel()
        (array([0., 4.]), array([0., 2.]))
    """

    metrics = ("r2",)
    stacks = True

    def rho(self, error: AnyArray) -> tuple[AnyArray, Slope]:
        """Return the squared error, and its slope."""
        return error * error, lambda scale: error * (2 * scale)
