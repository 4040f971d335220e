"""How well scores rank examples, whatever threshold is chosen later: areas under curves, by scikit-learn."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import Flag
from fnloop.core.records import frozen
from fnloop.metrics.log_loss import log_softmax
from fnloop.metrics.truth import truth


@frozen
class ROCAUC:
    """The area under the receiver operating characteristic, measured over all of the validation data at once.

    It is the probability that an example of class 1 has a higher score than one of class 0, where equal scores count half. For
    K classes it is the mean over classes of each against the others; for several labels the mean over labels. Scores are the
    logits, or the logarithms of the probabilities, in float64, so that examples with a probability that rounds to 1 are still
    told apart. It is NaN where a class has no examples, or all of them.

    Args:
        multilabel: whether each output is a label of its own; a trainer sets it for a loss of several labels.
    Shapes: `outputs` are logits, (N, 1) for two classes and (N, K) else; `targets` are labels (N,) or (N, 1), or rows (N, K).
    Source: scikit-learn's `roc_auc_score`, with `multi_class="ovr"`.
    """

    multilabel: Flag = False

    name = "roc_auc"
    task = "classification"
    mode = "max"

    def measure(self, outputs: Array, targets: Array, loss: Any, task: str | None) -> float:
        from sklearn.metrics import roc_auc_score

        def area(there: Array, score: Array) -> float:
            return float(roc_auc_score(there, score)) if there.any() and not there.all() else np.nan

        return _mean(area, outputs, targets, self.multilabel)


@frozen
class AveragePrecision:
    """The mean of the precisions at each threshold, weighted by the gain in recall; over all of the validation data at once.

    For K classes it is the mean over classes of each against the others; for several labels the mean over labels. For a rare
    class it says more than the area under the ROC. Scores are those of `ROCAUC`. It is NaN where a class has no examples.

    Args:
        multilabel: whether each output is a label of its own; a trainer sets it for a loss of several labels.
    Shapes: `outputs` are logits, (N, 1) for two classes and (N, K) else; `targets` are labels (N,) or (N, 1), or rows (N, K).
    Source: scikit-learn's `average_precision_score`.
    """

    multilabel: Flag = False

    name = "average_precision"
    task = "classification"
    mode = "max"

    def measure(self, outputs: Array, targets: Array, loss: Any, task: str | None) -> float:
        from sklearn.metrics import average_precision_score

        def area(there: Array, score: Array) -> float:
            return float(average_precision_score(there, score)) if there.any() else np.nan

        return _mean(area, outputs, targets, self.multilabel)


def _mean(area: Callable[[Array, Array], float], outputs: Array, targets: Array, multilabel: bool) -> float:
    """The mean over classes or labels of an area; NaN if one is, or a score is not finite."""
    if not np.isfinite(outputs).all():
        return np.nan
    y = truth(targets, outputs, "multilabel" if multilabel else "classification")
    if multilabel or outputs.shape[1] == 1:
        scores, there = outputs, y.reshape(outputs.shape) == 1
    else:
        scores, there = log_softmax(outputs), y[:, None] == np.arange(outputs.shape[1])
    return float(np.mean([area(t, score) for t, score in zip(there.T, scores.T, strict=True)]))
