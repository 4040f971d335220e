"""The Kullback-Leibler divergence of distributions over classes."""

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.losses import classes
from fnloop.losses.classification import Classification
from fnloop.losses.loss import Backward
from fnloop.losses.softmax_cross_entropy import mean_gradient, shifted_exponentials


@frozen
class KLDivergence(Classification):
    """The divergence of the predicted from the target distribution; stable up to half of the dtype's largest number.

        loss = sum_k y_k (log y_k - log softmax(z)_k), with 0 log 0 = 0        dz = (softmax(z) - y) / N

    It is the cross-entropy minus the entropy of the targets: it has the same gradient, and is 0 where the distributions
    agree.

    Shapes:
        outputs: (N, K), the logits z.
        targets: (N, K), rows y of probabilities.

    Source: Kullback & Leibler 1951.
    """

    stacks = True

    def check_outputs(self, outputs: int) -> None:
        """Check that there are at least two classes."""
        if outputs < 2:
            raise ValueError(f"KLDivergence needs a model with 2 or more outputs, one for each class, got {outputs}")

    def check_targets(self, targets: Array, outputs: int) -> None:
        """Check that targets are rows of probabilities."""
        classes.check_shape(targets, outputs)
        classes.check_rows(targets)

    def forward(self, outputs: AnyArray, targets: AnyArray) -> tuple[AnyArray, Backward]:
        """Return the loss of each example, (N,), and the backward function."""
        return classes.with_classes_first(_forward, outputs, targets)


def _forward(z: AnyArray, y: AnyArray) -> tuple[AnyArray, Backward]:
    """Sum y (exp(d) - 1 - d) with d = log p - log y, which is p where y is 0; no term is negative.

    For probabilities, which sum to 1, it equals the sum of -y d, but keeps its digits where p and y are close.
    """
    z, exp, rest = shifted_exponentials(z)
    xp, tiny = namespace(z), float(np.finfo(z.dtype).tiny)
    absent = y < tiny  # a subnormal y would overflow exp(d)
    rest_of_each = rest[..., None, :]
    d = z - xp.log1p(rest_of_each) - xp.log(xp.where(absent, 1, y))
    terms = xp.where(absent, exp / (1 + rest_of_each), y * (xp.expm1(d) - d))
    return terms.sum(-2), lambda: mean_gradient(exp, rest, y)
