"""The Kullback-Leibler divergence of distributions over classes."""

from typing import Any

from fnloop.losses import classes
from fnloop.losses.loss import Backward
from fnloop.losses.softmax_cross_entropy import SoftmaxCrossEntropy
from fnloop.namespace import namespace
from fnloop.record import record
from fnloop.typing import Array


@record
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
        xp = namespace(outputs)
        losses, backward = SoftmaxCrossEntropy().forward(outputs, targets)
        return losses + xp.vecdot(targets, xp.log(targets + (targets == 0))), backward

    predict = staticmethod(classes.predict)
    probabilities = staticmethod(classes.probabilities)
