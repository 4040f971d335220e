"""Targets as scikit-learn's functions take them."""

import numpy as np

from fnloop.core.arrays import Array
from fnloop.metrics.accuracy import labels_of


def truth(targets: Array, outputs: Array, task: str | None) -> Array:
    """The labels (N,) of a classification, the rows of 0 and 1 (N, K) of several labels, or the values, (N,) or (N, K)."""
    if task == "multilabel":
        return (targets.reshape(outputs.shape) > 0.5).astype(np.int64)
    if task != "classification":
        return targets.reshape(-1) if targets.shape[1:] == (1,) else targets
    if outputs.shape[1] == 1:
        return (targets.reshape(-1) > 0.5).astype(np.int64)
    return np.asarray(labels_of(targets, outputs)).astype(np.int64)
