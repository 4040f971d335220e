"""The mean absolute error."""

from fnloop.core.arrays import AnyArray
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.losses.regression import Regression, Slope


@frozen
class MeanAbsoluteError(Regression):
    """The absolute error, averaged over outputs and examples.

        loss = mean_k |f_k - y_k|        df = sign(f - y) / (N K)

    The derivative at an error of 0 is 0. The constant prediction with the smallest loss is the median of the targets.

    Shapes:
        outputs: (N, K), the predictions f.
        targets: (N, K), or (N,) for K = 1; the values y.
    """

    metrics = ("r2",)

    stacks = True

    def rho(self, error: AnyArray) -> tuple[AnyArray, Slope]:
        """Return the absolute error, and its slope."""
        sign = namespace(error).sign(error)
        return error * sign, lambda scale: sign * scale
