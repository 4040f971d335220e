"""The confusion matrix of a state on a dataset."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.data.dataset import Dataset
from fnloop.metrics.truth import truth
from fnloop.training.encoding import encode
from fnloop.training.engine import compute_outputs
from fnloop.training.measurement import quiet
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer, check_trainer


def confusion_matrix(trainer: Trainer, state: TrainState, data: Dataset, *, engine: str = "numpy") -> Array:
    """Count the examples of each class by the class that is predicted: rows are true classes, columns predicted ones.

    A class without examples has a row of zeros. For multi-label classification there is a matrix of 0 and 1 for each label.

    Args:
        trainer: The trainer, with a loss for classification.
        state: The state, with the parameters.
        data: The dataset.
        engine: `"numpy"` or `"jax"`, as in `epochs`.

    Returns:
        The counts, (K, K), or (K, 2, 2) for K labels.

    Raises:
        TypeError: If trainer, state or data are of another type.
        ValueError: If the data does not fit the model and the loss, or the loss is not one for classification.

    Examples:
        fl.confusion_matrix(trainer, result.best, data.test)

    See Also:
        sklearn.metrics.ConfusionMatrixDisplay, which draws it
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
        outputs = compute_outputs(trainer, state, data.x, engine)
    count: Any = metrics.multilabel_confusion_matrix if task == "multilabel" else metrics.confusion_matrix
    labels = range(k if task == "multilabel" else max(2, k))
    return np.asarray(count(truth(data.y, outputs, task), loss.predict(outputs), labels=labels))
