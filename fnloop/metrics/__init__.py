"""What is measured: metrics as sums over examples, and which of two values is better."""

from fnloop.metrics.accuracy import Accuracy, TopKAccuracy
from fnloop.metrics.compare import improves, look_up, mode_of, worst
from fnloop.metrics.confusion import F1, Precision, Recall
from fnloop.metrics.metric import Mean, Metric, PerExample
from fnloop.metrics.named import BY_NAME, get_metric
from fnloop.metrics.regression import MAE, R2

__all__ = [
    "BY_NAME",
    "F1",
    "MAE",
    "R2",
    "Accuracy",
    "Mean",
    "Metric",
    "PerExample",
    "Precision",
    "Recall",
    "TopKAccuracy",
    "get_metric",
    "improves",
    "look_up",
    "mode_of",
    "worst",
]
