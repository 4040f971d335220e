"""The Kullback-Leibler divergence of distributions over classes."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.losses import classes
from fnloop.losses.loss import Backward
from fnloop.losses.softmax_cross_entropy import excess, shifted


@frozen
class KLDivergence:
    """How far the model's distribution is from the target's; from logits, safe up to half of the dtype's largest.

        loss = sum_k y_k (log y_k - log softmax(z)_k), with 0 log 0 = 0        dz = (softmax(z) - y) / N

    It is the cross-entropy less the entropy of the targets: of the same gradient, and 0 where the two are the same.

    Shapes: `outputs` z are (N, K); `targets` y are rows of probabilities, (N, K).
    Source: Kullback & Leibler 1951.
    """

    metrics = ("accuracy",)
    task = staticmethod(classes.task)

    def check_outputs(self, outputs: int) -> None:
        if outputs < 2:
            raise ValueError(f"KLDivergence needs a model with an output for each of 2 or more classes, got {outputs}")

    def check(self, targets: Array, outputs: int) -> None:
        classes.check_shape(targets, outputs)
        classes.check_rows(targets)

    def forward(self, outputs: Any, targets: Any) -> tuple[Any, Backward]:
        return classes.classes_first(_forward, outputs, targets)

    predict = staticmethod(classes.predict)
    probabilities = staticmethod(classes.probabilities)


def _forward(z: Any, y: Any) -> tuple[Any, Backward]:
    """The sum of y (exp(d) - 1 - d) with d = log p - log y, which is p where y is 0: no term is negative.

    It equals the sum of -y d for probabilities, which sum to 1, but loses no digits where p and y are close.
    """
    z, exp, rest = shifted(z)
    xp, tiny = namespace(z), float(np.finfo(z.dtype).tiny)
    absent = y < tiny  # a subnormal y would overflow exp(d)
    d = z - xp.log1p(rest) - xp.log(xp.where(absent, 1, y))
    terms = xp.where(absent, exp / (1 + rest), y * (xp.expm1(d) - d))
    return terms.sum(0), lambda: excess(exp, rest, y)
