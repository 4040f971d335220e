"""Precision, recall, their harmonic mean, and balanced accuracy: ratios of three counts for each class."""

from typing import Any

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import Flag
from fnloop.core.constants import indices
from fnloop.core.records import frozen
from fnloop.metrics.accuracy import labels_of
from fnloop.metrics.classification import ClassesOrLabels
from fnloop.metrics.metric import Metric


@frozen
class Confusion(ClassesOrLabels, Metric):
    """A base for ratios of three counts of examples for each class or label.

    Args:
        multilabel: Whether each output is an independent label; a trainer sets it from its loss. Default: False.
    """

    multilabel: Flag = False

    mode = "max"
    stacks = True

    def sums(self, outputs: AnyArray, targets: AnyArray) -> list[Any]:
        """Return the numbers of true positives, of predictions and of examples of each class; for one output of class 1."""
        if self.multilabel or outputs.shape[-1] == 1:
            predicted, actual = outputs > 0, targets.reshape(outputs.shape) > 0.5
        else:
            classes = indices(outputs.shape[-1], np.dtype(int))
            predicted, actual = (c[..., None] == classes for c in (outputs.argmax(-1), labels_of(targets, outputs)))
        return [count for which in (predicted & actual, predicted, actual) for count in which.sum(-2).T]

    def width(self, outputs: int) -> int:
        """Return the number of counts, three for each class."""
        return 3 * outputs


def macro(part: Array, whole: Array) -> float:
    """Return the mean over classes of a ratio of counts, which is 0 for a class without a count."""
    return float((part / np.maximum(whole, 1)).mean())


@frozen
class Precision(Confusion):
    """The share of the predictions of a class that are correct; for one output that of class 1, else the mean over classes.

    For several labels it is the mean over labels. A class that is never predicted counts as 0, as in scikit-learn's
    `precision_score(y, f, labels=range(K), average="macro", zero_division=0)`.

    Args:
        multilabel: Whether each output is an independent label; a trainer sets it from its loss. Default: False.

    Shapes:
        outputs: (N, 1) for two classes, else (N, K); logits.
        targets: (N,) or (N, 1), labels; or (N, K), rows.
    """

    name = "precision"

    def value(self, sums: Array, examples: float) -> float:
        """Return correct / predicted."""
        correct, predicted, _ = sums.reshape(3, -1)
        return macro(correct, predicted)


@frozen
class Recall(Confusion):
    """The share of the examples of a class that are predicted; for one output that of class 1, else the mean over classes.

    For several labels it is the mean over labels. A class without examples counts as 0.

    Args:
        multilabel: Whether each output is an independent label; a trainer sets it from its loss. Default: False.

    Shapes:
        outputs: (N, 1) for two classes, else (N, K); logits.
        targets: (N,) or (N, 1), labels; or (N, K), rows.
    """

    name = "recall"

    def value(self, sums: Array, examples: float) -> float:
        """Return correct / actual."""
        correct, _, actual = sums.reshape(3, -1)
        return macro(correct, actual)


@frozen
class F1(Confusion):
    """The harmonic mean of precision and recall; for one output that of class 1, else the mean over classes.

        F1 = 2 correct / (predicted + actual), 0 for a class that has no predictions and no examples

    For several labels it is the mean over labels.

    Args:
        multilabel: Whether each output is an independent label; a trainer sets it from its loss. Default: False.

    Shapes:
        outputs: (N, 1) for two classes, else (N, K); logits.
        targets: (N,) or (N, 1), labels; or (N, K), rows.
    """

    name = "f1"

    def value(self, sums: Array, examples: float) -> float:
        """Return 2 correct / (predicted + actual)."""
        correct, predicted, actual = sums.reshape(3, -1)
        return macro(2 * correct, predicted + actual)


@frozen
class BalancedAccuracy(Confusion):
    """The mean recall over classes, also for two classes; a class without examples does not count.

    It is scikit-learn's `balanced_accuracy_score`: a constant prediction scores 1 / K however rare the other classes are. For
    several labels it is the mean over labels.

    Args:
        multilabel: Whether each output is an independent label; a trainer sets it from its loss. Default: False.

    Shapes:
        outputs: (N, 1) for two classes, else (N, K); logits.
        targets: (N,) or (N, 1), labels; or (N, K), rows.
    """

    name = "balanced_accuracy"

    def value(self, sums: Array, examples: float) -> float:
        """Return the mean recall."""
        correct, predicted, actual = sums.reshape(3, -1)
        if len(actual) > 1 and not self.multilabel:
            return float((correct[actual > 0] / actual[actual > 0]).mean())
        rest = examples - actual
        recalls = np.array([_ratio(correct, actual), _ratio(rest - predicted + correct, rest)])
        return float(np.nanmean(recalls, axis=0).mean())


def _ratio(part: Array, whole: Array) -> Array:
    """Return the ratio of counts, NaN where the whole is 0."""
    return np.asarray(part / np.where(whole > 0, whole, np.nan))
