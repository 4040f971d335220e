"""How large a loss is: what a gap between two of its values is compared with."""

import math
from typing import Any

import numpy as np

from fnloop.data.dataset import Dataset
from fnloop.losses import Loss
from fnloop.metrics import get_metric
from fnloop.training.trainer import Trainer


def loss_scale(trainer: Trainer, train: Dataset) -> float:
    """1 for a loss of classes, whose scale is fixed; else the mean loss of a constant prediction of the targets.

    The constant is their mean or their median, whichever is better: the best one for squared and for absolute errors, and near
    it for others. NaN where no constant can be compared, as for targets that are all the same.
    """
    if is_of_classes(trainer.loss):
        return 1.0
    y, shape = train.y.reshape(len(train), -1).astype(np.float64), (len(train), trainer.model.outputs)
    if y.shape[1] not in (1, shape[1]):
        return math.nan
    try:
        with np.errstate(all="ignore"):
            constants = (np.broadcast_to(c, shape).copy() for c in (y.mean(0), np.median(y, 0)))
            means = [_mean_loss(trainer.loss, train, outputs) for outputs in constants]
    except Exception:  # of a loss that only its own engine computes: what a picture says of a gap is no reason not to train
        return math.nan
    positive = [mean for mean in means if 0 < mean < math.inf]
    return min(positive, default=math.nan)


def is_of_classes(loss: Loss) -> bool:
    """Whether a loss is one for classification, as its own metrics are."""
    return any(getattr(get_metric(metric), "task", None) == "classification" for metric in getattr(loss, "metrics", ()))


def _mean_loss(loss: Loss, train: Dataset, outputs: Any) -> float:
    losses = np.asarray(loss.forward(outputs, train.y.astype(np.float64))[0])
    return float((losses if train.weights is None else losses * train.weights).mean())
