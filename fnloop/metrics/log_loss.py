"""The log loss, which tells how good predicted probabilities are."""

from typing import Any

from fnloop.core.arrays import Array
from fnloop.core.checks import Flag
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.metrics.accuracy import labels_of
from fnloop.metrics.metric import widest


@frozen
class LogLoss:
    """The mean over examples of -log p, for the probability p that the model gives to the right class.

    It is scikit-learn's `log_loss` of the probabilities, and the plain cross-entropy: without the weights, label smoothing or
    focus that the loss may have, so that models trained by different losses can be compared. For several labels it is the mean
    over labels of each one's own. It is computed in float64 from the logits, not from rounded probabilities.

    Args:
        multilabel: whether each output is a label of its own; a trainer sets it for a loss of several labels.
    Shapes: `outputs` are logits, (N, 1) for two classes and (N, K) else; `targets` are labels (N,) or (N, 1), or rows (N, K).
    """

    multilabel: Flag = False

    name = "log_loss"
    task = "classification"
    needs = "probabilities"
    mode = "min"

    def sums(self, outputs: Any, targets: Any) -> list[Any]:
        z = outputs.astype(widest(outputs))
        if self.multilabel or z.shape[1] == 1:
            y, softplus = targets.reshape(z.shape), namespace(z).logaddexp
            return [(y * softplus(0.0, -z) + (1 - y) * softplus(0.0, z)).sum() / z.shape[1]]
        log_p = log_softmax(z)
        if targets.shape == z.shape:
            return [-(targets * log_p).sum()]
        own = labels_of(targets, z).reshape(-1, 1).astype(int)
        return [-namespace(z).take_along_axis(log_p, own, 1).sum()]

    def width(self, outputs: int) -> int:
        return 1

    def value(self, sums: Array, examples: float) -> float:
        return float(sums[0] / examples)


def log_softmax(z: Any) -> Any:
    """The logarithms of the classes' probabilities, (N, K), precise also where one has a probability near 1."""
    xp = namespace(z)
    z = z - z.max(1, keepdims=True)
    highest = xp.arange(z.shape[1]) == z.argmax(1)[:, None]
    rest = xp.where(highest, 0.0, xp.exp(z)).sum(1, keepdims=True)
    return z - xp.log1p(rest)
