"""Metrics by their names, and the forms in which a metric is given."""

from typing import cast

from fnloop.core.checks import instance_of
from fnloop.core.formatting import short
from fnloop.core.signatures import did_you_mean
from fnloop.metrics.accuracy import Accuracy, SubsetAccuracy, TopKAccuracy
from fnloop.metrics.confusion import F1, BalancedAccuracy, Precision, Recall
from fnloop.metrics.log_loss import LogLoss
from fnloop.metrics.metric import Mean, Metric, PerExample
from fnloop.metrics.ranking import ROCAUC, AveragePrecision
from fnloop.metrics.regression import MAE, R2, RMSE
from fnloop.metrics.whole import WholeMetric, from_sklearn

AnyMetric = Metric | WholeMetric
MetricLike = str | AnyMetric | PerExample

_CLASSES = Accuracy(), BalancedAccuracy(), Precision(), Recall(), F1(), LogLoss(), TopKAccuracy(5), SubsetAccuracy()
_RANKING = ROCAUC(), AveragePrecision()
_ALL: tuple[AnyMetric, ...] = (*_CLASSES, *_RANKING, R2(), MAE(), RMSE())
METRICS: dict[str, AnyMetric] = {metric.name: metric for metric in _ALL}

_FORMS = (
    "names, such as 'accuracy', metrics, such as fl.metrics.TopKAccuracy(3), or functions of (outputs, targets) or of "
    "sklearn.metrics"
)
_check_metric, _check_whole_metric = instance_of(Metric, _FORMS), instance_of(WholeMetric, _FORMS)


def get_metric(metric: MetricLike) -> AnyMetric:
    """Return the metric with this name.

    Args:
        metric: A name; a metric, which is returned unchanged; a function of `sklearn.metrics`; or a function of
            (outputs, targets) that returns one value for each example, which becomes a `Mean`.

    Raises:
        TypeError: If it is none of these.
        ValueError: If the name is unknown.

    Examples:
        >>> get_metric("accuracy")
        Accuracy(multilabel=False)
    """
    if isinstance(metric, str):
        if metric not in METRICS:
            raise ValueError(
                f"metrics must be among {', '.join(METRICS)} or functions of (outputs, targets) or of sklearn.metrics, "
                f"got {short(metric, 50)}{did_you_mean(metric, METRICS)}"
            )
        return METRICS[metric]
    is_whole = hasattr(metric, "measure")
    if callable(metric) and not (isinstance(metric, type) or is_whole or hasattr(metric, "sums")):
        return from_sklearn(metric) or Mean(metric)
    return cast(AnyMetric, (_check_whole_metric if is_whole else _check_metric)("metrics", metric))
