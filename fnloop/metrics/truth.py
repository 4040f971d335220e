"""Targets in the form that scikit-learn's functions take."""

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import Task
from fnloop.metrics.accuracy import labels_of


def truth(targets: Array, outputs: Array, task: Task | None) -> Array:
    """Return the targets as scikit-learn's functions take them.

    Args:
        targets: Targets as in the dataset.
        outputs: The outputs of the model, (N, K).
        task: The task of the loss.

    Returns:
        Integer labels (N,) for classification, rows of 0 and 1 (N, K) for several labels, else the values, (N,) or (N, K).
    """
    if task == "multilabel":
        return (targets.reshape(outputs.shape) > 0.5).astype(np.int64)
    if task != "classification":
        return targets.reshape(-1) if targets.shape[1:] == (1,) else targets
    if outputs.shape[1] == 1:
        return (targets.reshape(-1) > 0.5).astype(np.int64)
    return np.asarray(labels_of(targets, outputs)).astype(np.int64)
