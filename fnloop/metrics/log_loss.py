"""The log loss, which measures the quality of predicted probabilities."""

from typing import Any

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import Flag
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.metrics.accuracy import labels_of
from fnloop.metrics.classification import ClassesOrLabels
from fnloop.metrics.metric import Metric, widest


@frozen
class LogLoss(ClassesOrLabels, Metric):
    """The mean of -log p over examples, where p is the predicted probability of the correct class.

    It is scikit-learn's `log_loss`, the plain cross-entropy without the weights, label smoothing or focus of the loss. So it
    compares models that were trained with different losses. For several labels it is the mean over labels. It is computed in
    float64 from the logits, not from rounded probabilities.

    Args:
        multilabel: Whether each output is an independent label; a trainer sets it from its loss. Default: False.

    Shapes:
        outputs: (N, 1) for two classes, else (N, K); logits.
        targets: (N,) or (N, 1), labels; or (N, K), rows.
    """

    multilabel: Flag = False

    name = "log_loss"
    needs = "probabilities"
    mode = "min"
    stacks = True

    def sums(self, outputs: AnyArray, targets: AnyArray) -> list[Any]:
        """Return the sum of -log p."""
        z = outputs.astype(widest(outputs))
        examples_and_classes = (-2, -1)
        if self.multilabel or z.shape[-1] == 1:
            y, softplus = targets.reshape(z.shape), namespace(z).logaddexp
            return [(y * softplus(0.0, -z) + (1 - y) * softplus(0.0, z)).sum(examples_and_classes) / z.shape[-1]]
        log_p = log_softmax(z)
        if targets.shape == z.shape:
            return [-(targets * log_p).sum(examples_and_classes)]
        label = labels_of(targets, z)[..., None].astype(int)
        return [-namespace(z).take_along_axis(log_p, label, -1).sum(examples_and_classes)]

    def width(self, outputs: int) -> int:
        """Return 1."""
        return 1

    def value(self, sums: Array, examples: float) -> float:
        """Return the mean of -log p."""
        return float(sums[0] / examples)


def log_softmax(z: AnyArray) -> AnyArray:
    """Return the logarithms of the probabilities of the classes, (N, K), accurate also for probabilities near 1."""
    xp = namespace(z)
    z = z - z.max(-1, keepdims=True)
    highest = xp.arange(z.shape[-1]) == z.argmax(-1)[..., None]
    rest = xp.where(highest, 0.0, xp.exp(z)).sum(-1, keepdims=True)
    return z - xp.log1p(rest)
