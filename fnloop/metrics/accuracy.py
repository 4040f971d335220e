"""The share of examples whose class is right, or among the likeliest few."""

from typing import Any

from fnloop.core.arrays import Array
from fnloop.core.checks import Flag, PositiveInt
from fnloop.core.constants import indices
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen


@frozen
class Accuracy:
    """The share of examples whose class is right; for K labels an example, the share of labels that are right.

    For several labels it is 1 less scikit-learn's `hamming_loss`, as in Keras and torchmetrics; the share of examples whose
    labels are all right, which is scikit-learn's `accuracy_score`, is `SubsetAccuracy`.

    Args:
        multilabel: whether each output is a label of its own; a trainer sets it for a loss of several labels.
    Shapes: `outputs` are logits, (N, 1) for two classes and (N, K) else; `targets` are integer labels (N,) or (N, 1), or
        one-hot rows (N, K), or for several labels rows (N, K) of 0 and 1.
    """

    multilabel: Flag = False

    name = "accuracy"
    task = "classification"
    mode = "max"

    def sums(self, outputs: Any, targets: Any) -> list[Any]:
        count = namespace(outputs).count_nonzero
        if self.multilabel:
            return list(count(right_labels(outputs, targets), 0))
        if outputs.shape[-1] == 1:
            return [count((outputs > 0).ravel() == (targets > 0.5).ravel())]
        return [count(outputs.argmax(-1) == labels_of(targets, outputs))]

    def width(self, outputs: int) -> int:
        return outputs if self.multilabel else 1

    def value(self, sums: Array, examples: float) -> float:
        return float(sums.mean() / examples)


@frozen
class SubsetAccuracy:
    """The share of examples all of whose labels are right; scikit-learn's `accuracy_score` for several labels.

    Shapes: `outputs` are logits, (N, K); `targets` are rows (N, K) of 0 and 1.
    """

    name = "subset_accuracy"
    task = "multilabel"
    mode = "max"

    def sums(self, outputs: Any, targets: Any) -> list[Any]:
        return [namespace(outputs).count_nonzero(right_labels(outputs, targets).all(1))]

    def width(self, outputs: int) -> int:
        return 1

    def value(self, sums: Array, examples: float) -> float:
        return float(sums[0] / examples)


@frozen
class TopKAccuracy:
    """The share of examples whose class is among the k that score highest.

    Of classes that score alike the first ones count as higher, as they do for a prediction: with k = 1 it is the accuracy. A
    class with the score NaN is among none. The metric is called `top_5_accuracy` for k = 5.

    Args:
        k: at least 1, and below the number of the model's outputs.
    Shapes: `outputs` are (N, K); `targets` are integer labels (N,) or (N, 1), or one-hot rows (N, K).
    Raises: TypeError, ValueError: if k is no such number; for a model with too few outputs, where they meet.
    """

    k: PositiveInt = 5

    task = "classification"
    mode = "max"

    @property
    def name(self) -> str:
        return f"top_{self.k}_accuracy"

    def sums(self, outputs: Any, targets: Any) -> list[Any]:
        xp = namespace(outputs)
        own = labels_of(targets, outputs).reshape(-1, 1)
        score = xp.take_along_axis(outputs, own.astype(int), 1)
        before = indices(outputs.shape[1], own.dtype) < own
        higher = ~(outputs < score) & (before | ~(outputs == score))
        return [xp.count_nonzero(xp.count_nonzero(higher, 1) < self.k)]

    def width(self, outputs: int) -> int:
        if outputs <= self.k:
            raise ValueError(f"k must be below the number of outputs, {outputs}, or every example counts, got {self.k}")
        return 1

    def value(self, sums: Array, examples: float) -> float:
        return float(sums[0] / examples)


def right_labels(outputs: Any, targets: Any) -> Any:
    """Whether each label, 0 or 1, is the one predicted, (N, K)."""
    return (outputs > 0) == (targets.reshape(outputs.shape) > 0.5)


def labels_of(targets: Any, outputs: Any) -> Any:
    """The class of each target, (N,), whether they are labels or rows."""
    return targets.argmax(-1) if targets.shape == outputs.shape else targets.ravel()
