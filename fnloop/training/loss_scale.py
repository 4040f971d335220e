"""The scale of a loss, to which differences between its values are compared."""

import math

import numpy as np

from fnloop.core.arrays import AnyArray
from fnloop.data.dataset import Dataset
from fnloop.losses import Loss
from fnloop.training.trainer import Trainer


def loss_scale(trainer: Trainer, train: Dataset) -> float:
    """Return 1 for a loss for classification, whose scale is fixed, else the mean loss of a constant prediction.

    The constant is the mean or the median of the targets, whichever has the lower loss: the best constant for the squared and
    the absolute error, and close to it for others. The scale is NaN if no constant can be compared, as for targets that are
    all equal.

    Args:
        trainer: The trainer whose loss is measured.
        train: The training data.
    """
    if trainer.loss.task(trainer.model.outputs) in ("classification", "multilabel"):
        return 1.0
    y, shape = train.y.reshape(len(train), -1).astype(np.float64), (len(train), trainer.model.outputs)
    if y.shape[1] not in (1, shape[1]):
        return math.nan
    try:
        with np.errstate(all="ignore"):
            constants = (np.broadcast_to(c, shape).copy() for c in (y.mean(0), np.median(y, 0)))
            means = [_mean_loss(trainer.loss, train, outputs) for outputs in constants]
    except Exception:  # a custom loss may run on JAX only; without its scale training is still possible
        return math.nan
    positive = [mean for mean in means if 0 < mean < math.inf]
    return min(positive, default=math.nan)


def _mean_loss(loss: Loss, train: Dataset, outputs: AnyArray) -> float:
    losses = np.asarray(loss.forward(outputs, train.y.astype(np.float64))[0])
    return float((losses if train.weights is None else losses * train.weights).mean())
