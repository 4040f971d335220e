"""Metrics: sums over examples, functions of all examples at once, and the comparison of two values.

A custom metric is a plain function, or subclasses `Metric` or `WholeMetric`.
"""

from fnloop.metrics.accuracy import Accuracy, SubsetAccuracy, TopKAccuracy
from fnloop.metrics.compare import improves, look_up, worst
from fnloop.metrics.confusion import F1, BalancedAccuracy, Precision, Recall
from fnloop.metrics.direction import check_mode, is_loss, known_mode, mode_of
from fnloop.metrics.log_loss import LogLoss
from fnloop.metrics.metric import Mean, Metric, PerExample
from fnloop.metrics.named import METRICS, get_metric
from fnloop.metrics.ranking import ROCAUC, AveragePrecision
from fnloop.metrics.regression import MAE, R2, RMSE
from fnloop.metrics.whole import Whole, WholeMetric

__all__ = [
    "F1",
    "MAE",
    "METRICS",
    "R2",
    "RMSE",
    "ROCAUC",
    "Accuracy",
    "AveragePrecision",
    "BalancedAccuracy",
    "LogLoss",
    "Mean",
    "Metric",
    "PerExample",
    "Precision",
    "Recall",
    "SubsetAccuracy",
    "TopKAccuracy",
    "Whole",
    "WholeMetric",
    "check_mode",
    "get_metric",
    "improves",
    "is_loss",
    "known_mode",
    "look_up",
    "mode_of",
    "worst",
]
