"""The share of examples whose class is predicted correctly, or is among the most likely few."""

from typing import Any

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import Flag, PositiveInt
from fnloop.core.constants import indices
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.metrics.classification import ClassesOrLabels
from fnloop.metrics.metric import Metric


@frozen
class Accuracy(ClassesOrLabels, Metric):
    """The share of examples whose class is predicted correctly; for K labels an example, the share of correct labels.

    For several labels it is 1 minus scikit-learn's `hamming_loss`, as in Keras and torchmetrics. `SubsetAccuracy` is the share
    of examples whose labels are all correct, which is scikit-learn's `accuracy_score`.

    Args:
        multilabel: Whether each output is an independent label; a trainer sets it from its loss. Default: False.

    Shapes:
        outputs: (N, 1) for two classes, else (N, K); logits.
        targets: (N,) or (N, 1), integer labels; (N, K), one-hot rows; or for several labels (N, K), 0 and 1.

    Examples:
        >>> import numpy as np
        >>> int(Accuracy().sums(np.array([[2.0], [-1.0], [3.0]]), np.array([1, 1, 1]))[0])  # the number of correct predictions
        2
    """

    multilabel: Flag = False

    name = "accuracy"
    mode = "max"
    stacks = True

    def sums(self, outputs: AnyArray, targets: AnyArray) -> list[Any]:
        """Return the number of correct predictions, for several labels that of each label."""
        if self.multilabel:
            return [count(labels) for labels in namespace(outputs).moveaxis(correct_labels(outputs, targets), -1, 0)]
        if outputs.shape[-1] == 1:
            return [count((outputs[..., 0] > 0) == (targets.reshape(outputs.shape[:-1]) > 0.5))]
        return [count(outputs.argmax(-1) == labels_of(targets, outputs))]

    def width(self, outputs: int) -> int:
        """Return the number of labels, or 1."""
        return outputs if self.multilabel else 1

    def value(self, sums: Array, examples: float) -> float:
        """Return the share of correct predictions."""
        return float(sums.mean() / examples)


@frozen
class SubsetAccuracy(Metric):
    """The share of examples whose labels are all predicted correctly; scikit-learn's `accuracy_score` for several labels.

    Shapes:
        outputs: (N, K), logits.
        targets: (N, K), 0 and 1.
    """

    name = "subset_accuracy"
    task = "multilabel"
    mode = "max"
    stacks = True

    def sums(self, outputs: AnyArray, targets: AnyArray) -> list[Any]:
        """Return the number of examples whose labels are all correct."""
        return [count(correct_labels(outputs, targets).all(-1))]

    def width(self, outputs: int) -> int:
        """Return 1."""
        return 1

    def value(self, sums: Array, examples: float) -> float:
        """Return the share of examples whose labels are all correct."""
        return float(sums[0] / examples)


@frozen
class TopKAccuracy(Metric):
    """The share of examples whose class has one of the k highest scores.

    Its name is `top_5_accuracy` for k = 5. Equal scores are ranked in the order of the classes, as for predictions: for k = 1
    it is the accuracy. A class with the score NaN is ranked last.

    Args:
        k: The number of classes, at least 1 and below the number of outputs. Default: 5.

    Shapes:
        outputs: (N, K), scores.
        targets: (N,) or (N, 1), integer labels; or (N, K), one-hot rows.

    Raises:
        TypeError: If k is not an integer.
        ValueError: If k is below 1. A trainer raises it if its model has too few outputs.
    """

    k: PositiveInt = 5

    task = "classification"
    mode = "max"
    stacks = True

    @property
    def name(self) -> str:
        """The name, with k."""
        return f"top_{self.k}_accuracy"

    def sums(self, outputs: AnyArray, targets: AnyArray) -> list[Any]:
        """Return the number of examples whose class has one of the k highest scores."""
        xp = namespace(outputs)
        label = labels_of(targets, outputs)[..., None]
        score = xp.take_along_axis(outputs, label.astype(int), -1)
        before = indices(outputs.shape[-1], label.dtype) < label
        higher = ~(outputs < score) & (before | ~(outputs == score))
        return [count(xp.count_nonzero(higher, -1) < self.k)]

    def width(self, outputs: int) -> int:
        """Return 1, and check that k is below the number of outputs."""
        if outputs <= self.k:
            raise ValueError(f"k must be below the number of outputs, {outputs}, or every example counts, got {self.k}")
        return 1

    def value(self, sums: Array, examples: float) -> float:
        """Return the share of examples whose class has one of the k highest scores."""
        return float(sums[0] / examples)


def correct_labels(outputs: AnyArray, targets: AnyArray) -> AnyArray:
    """Return whether each label, 0 or 1, is predicted correctly, (N, K)."""
    return (outputs > 0) == (targets.reshape(outputs.shape) > 0.5)


def labels_of(targets: AnyArray, outputs: AnyArray) -> AnyArray:
    """Return the class of each target, (N,), from labels or rows."""
    return targets.argmax(-1) if targets.shape == outputs.shape else targets.reshape(outputs.shape[:-1])


def count(correct: AnyArray) -> Any:
    """Return how many are true, a number; for a population, (K, N), how many of each member, (K,)."""
    return namespace(correct).count_nonzero(correct) if correct.ndim == 1 else correct.sum(-1)
