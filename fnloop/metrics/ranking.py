"""Areas under curves: how well scores rank examples, independently of a threshold. Computed by scikit-learn."""

from collections.abc import Callable

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import Flag, Task
from fnloop.core.records import frozen
from fnloop.metrics.classification import ClassesOrLabels
from fnloop.metrics.log_loss import log_softmax
from fnloop.metrics.truth import truth
from fnloop.metrics.whole import Interpretation, WholeMetric


@frozen
class ROCAUC(ClassesOrLabels, WholeMetric):
    """The area under the receiver operating characteristic, measured on the whole validation set.

    It is the probability that an example of class 1 has a higher score than one of class 0, where ties count half. For K
    classes it is the mean over classes of one class against the others; for several labels the mean over labels. Scores are
    logits, or logarithms of probabilities, in float64, so that examples whose probability rounds to 1 are still ranked. It is
    NaN if a class has no examples, or all of them.

    Args:
        multilabel: Whether each output is an independent label; a trainer sets it from its loss. Default: False.

    Shapes:
        outputs: (N, 1) for two classes, else (N, K); logits.
        targets: (N,) or (N, 1), labels; or (N, K), rows.

    Source: scikit-learn's `roc_auc_score`, with `multi_class="ovr"`.
    """

    multilabel: Flag = False

    name = "roc_auc"
    mode = "max"

    def measure(self, outputs: Array, targets: Array, loss: Interpretation, task: Task | None) -> float:
        """Return the area under the curve."""
        from sklearn.metrics import roc_auc_score

        def area(is_class: Array, score: Array) -> float:
            return float(roc_auc_score(is_class, score)) if is_class.any() and not is_class.all() else np.nan

        return _mean(area, outputs, targets, self.multilabel)


@frozen
class AveragePrecision(ClassesOrLabels, WholeMetric):
    """The mean precision over thresholds, weighted by the increase in recall, measured on the whole validation set.

    For K classes it is the mean over classes of one class against the others; for several labels the mean over labels. It is
    more informative than the area under the ROC for a rare class. Scores are those of `ROCAUC`. It is NaN if a class has no
    examples.

    Args:
        multilabel: Whether each output is an independent label; a trainer sets it from its loss. Default: False.

    Shapes:
        outputs: (N, 1) for two classes, else (N, K); logits.
        targets: (N,) or (N, 1), labels; or (N, K), rows.

    Source: scikit-learn's `average_precision_score`.
    """

    multilabel: Flag = False

    name = "average_precision"
    mode = "max"

    def measure(self, outputs: Array, targets: Array, loss: Interpretation, task: Task | None) -> float:
        """Return the mean precision."""
        from sklearn.metrics import average_precision_score

        def area(is_class: Array, score: Array) -> float:
            return float(average_precision_score(is_class, score)) if is_class.any() else np.nan

        return _mean(area, outputs, targets, self.multilabel)


def _mean(area: Callable[[Array, Array], float], outputs: Array, targets: Array, multilabel: bool) -> float:
    """Return the mean area over classes or labels; NaN if any area is NaN or any output is not finite."""
    if not np.isfinite(outputs).all():
        return np.nan
    y = truth(targets, outputs, "multilabel" if multilabel else "classification")
    if multilabel or outputs.shape[1] == 1:
        scores, members = outputs, y.reshape(outputs.shape) == 1
    else:
        scores, members = log_softmax(outputs), y[:, None] == np.arange(outputs.shape[1])
    return float(np.mean([area(is_class, score) for is_class, score in zip(members.T, scores.T, strict=True)]))
