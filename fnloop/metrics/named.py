"""Metrics by their names, and what a metric may be given as."""

from typing import cast

from fnloop.core.formatting import short
from fnloop.core.records import evolve
from fnloop.core.signatures import did_you_mean
from fnloop.metrics.accuracy import Accuracy, SubsetAccuracy, TopKAccuracy
from fnloop.metrics.confusion import F1, BalancedAccuracy, Precision, Recall
from fnloop.metrics.log_loss import LogLoss
from fnloop.metrics.metric import Mean, Metric, PerExample
from fnloop.metrics.ranking import ROCAUC, AveragePrecision
from fnloop.metrics.regression import MAE, R2, RMSE
from fnloop.metrics.whole import WholeMetric, as_whole, is_whole

AnyMetric = Metric | WholeMetric
Given = str | AnyMetric | PerExample

_CLASSES = Accuracy(), BalancedAccuracy(), Precision(), Recall(), F1(), LogLoss(), TopKAccuracy(5), SubsetAccuracy()
_RANKING = ROCAUC(), AveragePrecision()
_ALL: tuple[AnyMetric, ...] = (*_CLASSES, *_RANKING, R2(), MAE(), RMSE())
METRICS: dict[str, AnyMetric] = {metric.name: metric for metric in _ALL}


def get_metric(metric: Given) -> AnyMetric:
    """The metric of that name, the metric itself if it is one, one of scikit-learn's, or the mean of a user's own function.

    Raises: ValueError: for an unknown name, with those there are; TypeError: for anything else.
    """
    if isinstance(metric, str):
        if metric not in METRICS:
            raise ValueError(
                f"metrics must be among {', '.join(METRICS)} or functions of (outputs, targets) or of sklearn.metrics, "
                f"got {short(metric, 50)}{did_you_mean(metric, METRICS)}"
            )
        return METRICS[metric]
    if isinstance(metric, type) or not (is_metric(metric) or callable(metric)):
        raise TypeError(
            f"metrics must be names ({', '.join(METRICS)}), TopKAccuracy(3), functions of "
            f"(outputs, targets) or of sklearn.metrics, got {short(metric, 50)}"
        )
    if is_metric(metric):
        return cast(AnyMetric, metric)
    return as_whole(metric) or Mean(cast(PerExample, metric))


def for_task(metric: AnyMetric, task: str | None) -> AnyMetric:
    """The metric as it reads the outputs of such a task: one for classes reads several labels one by one, if it can."""
    return evolve(metric, multilabel=True) if task == "multilabel" and hasattr(metric, "multilabel") else metric


def is_metric(metric: object) -> bool:
    """Whether it has what a metric needs, of one kind or the other."""
    return is_whole(metric) or all(hasattr(metric, needed) for needed in ("name", "sums", "width", "value"))
