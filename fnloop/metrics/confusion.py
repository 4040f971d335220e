"""Precision, recall, their harmonic mean, and balanced accuracy: ratios of three counts a class."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import Flag
from fnloop.core.constants import indices
from fnloop.core.records import frozen
from fnloop.metrics.accuracy import labels_of


@frozen
class Confusion:
    """What the ratios share: for each class, or for each of several labels, three counts of examples.

    Args:
        multilabel: whether each output is a label of its own; a trainer sets it for a loss of several labels.
    """

    multilabel: Flag = False

    task = "classification"
    mode = "max"

    def sums(self, outputs: Any, targets: Any) -> list[Any]:
        """Those rightly predicted to be of the class, all that are so predicted, and all that are of it.

        With one output the only class is 1, the positive one; and so it is for each label.
        """
        if self.multilabel or outputs.shape[1] == 1:
            predicted, actual = outputs > 0, targets.reshape(outputs.shape) > 0.5
        else:
            classes = indices(outputs.shape[1], np.dtype(int))
            predicted, actual = (c.reshape(-1, 1) == classes for c in (outputs.argmax(1), labels_of(targets, outputs)))
        return [count for which in (predicted & actual, predicted, actual) for count in which.sum(0)]

    def width(self, outputs: int) -> int:
        """Three counts a class."""
        return 3 * outputs


def macro(right: Array, of: Array) -> float:
    """The mean over classes of a ratio of counts, which is 0 where there is nothing to count."""
    return float((right / np.maximum(of, 1)).mean())


@frozen
class Precision(Confusion):
    """Of the examples predicted to be of a class, the share that are.

    For one output it is that of class 1, else the mean over classes or labels.

    A class that is never predicted counts as 0, also where no example is of it, as in scikit-learn's
    `precision_score(y, f, labels=range(K), average="macro", zero_division=0)`.

    Shapes: `outputs` are logits, (N, 1) for two classes and (N, K) else; `targets` are labels (N,) or (N, 1), or rows (N, K).
    """

    name = "precision"

    def value(self, sums: Array, examples: float) -> float:
        right, predicted, _ = sums.reshape(3, -1)
        return macro(right, predicted)


@frozen
class Recall(Confusion):
    """Of the examples of a class, the share that are predicted to be.

    For one output it is that of class 1, else the mean over classes or labels. A class that no example is of counts as 0.

    Shapes: `outputs` are logits, (N, 1) for two classes and (N, K) else; `targets` are labels (N,) or (N, 1), or rows (N, K).
    """

    name = "recall"

    def value(self, sums: Array, examples: float) -> float:
        right, _, actual = sums.reshape(3, -1)
        return macro(right, actual)


@frozen
class F1(Confusion):
    """The harmonic mean of precision and recall.

    For one output it is that of class 1, else the mean of each class's or label's own.

        F1 = 2 right / (predicted + actual), 0 where a class is neither predicted nor there

    Shapes: `outputs` are logits, (N, 1) for two classes and (N, K) else; `targets` are labels (N,) or (N, 1), or rows (N, K).
    """

    name = "f1"

    def value(self, sums: Array, examples: float) -> float:
        right, predicted, actual = sums.reshape(3, -1)
        return macro(2 * right, predicted + actual)


@frozen
class BalancedAccuracy(Confusion):
    """The mean over classes of the recall, also for two classes; a class that no example is of does not count.

    It is scikit-learn's `balanced_accuracy_score`: a constant prediction gets 1 / K however rare the other classes are. For
    several labels it is the mean over labels of each one's own.

    Shapes: `outputs` are logits, (N, 1) for two classes and (N, K) else; `targets` are labels (N,) or (N, 1), or rows (N, K).
    """

    name = "balanced_accuracy"

    def value(self, sums: Array, examples: float) -> float:
        right, predicted, actual = sums.reshape(3, -1)
        if len(actual) > 1 and not self.multilabel:
            return float((right[actual > 0] / actual[actual > 0]).mean())
        rest = examples - actual
        recalls = np.array([_ratio(right, actual), _ratio(rest - predicted + right, rest)])
        return float(np.nanmean(recalls, axis=0).mean())


def _ratio(part: Array, whole: Array) -> Array:
    """The ratio of counts, NaN where there is nothing to count."""
    return np.asarray(part / np.where(whole > 0, whole, np.nan))
