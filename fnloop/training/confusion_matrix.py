"""Which classes a model takes for which."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.data.dataset import Dataset
from fnloop.engines import get_engine
from fnloop.metrics.truth import truth
from fnloop.training.encoding import encode
from fnloop.training.measurement import quiet
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer, check_trainer


def confusion_matrix(trainer: Trainer, state: TrainState, data: Dataset, *, engine: str = "numpy") -> Array:
    """How many examples of each class are predicted to be of each: rows are the true classes, columns the predicted ones.

    For several labels there is one such matrix for each, of 0 and 1. A class without examples has its row, too.

    Args:
        engine: `"numpy"` or `"jax"`, as in `epochs`.

    Returns:
        The counts, (K, K), or (K, 2, 2) for K labels.

    Raises:
        TypeError: For what is no trainer, state or dataset.
        ValueError: If the data does not fit the model and the loss, or the loss is not one for classes.

    Examples:
        fl.confusion_matrix(trainer, result.best, data.test)

    See Also: sklearn.metrics.ConfusionMatrixDisplay, which draws it
    """
    from sklearn import metrics

    check_trainer(trainer).check_state(state, "state")
    data = encode(data, state.names, "data")
    trainer.check_data(data, "data")
    k, loss = trainer.model.outputs, trainer.loss
    task = loss.task(k)
    if task not in {"classification", "multilabel"}:
        raise ValueError(f"trainer must have a loss for classes, got {type(loss).__name__}")
    with quiet():
        outputs = get_engine(engine).outputs_over(trainer, state, data.x)
    counts: Any = metrics.multilabel_confusion_matrix if task == "multilabel" else metrics.confusion_matrix
    classes = range(k if task == "multilabel" else max(2, k))
    return np.asarray(counts(truth(data.y, outputs, task), loss.predict(outputs), labels=classes))
