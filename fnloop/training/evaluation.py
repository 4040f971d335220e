"""What a state says of data: its metrics, outputs, predictions and probabilities."""

from typing import Any

from fnloop.core.arrays import Array
from fnloop.data.array_likes import read_features
from fnloop.data.dataset import FEATURE_NDIMS, Dataset, check_array
from fnloop.data.names import select_columns
from fnloop.engines import get_engine
from fnloop.training.encoding import encode
from fnloop.training.measurement import make_measure, quiet
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer, check_trainer


def evaluate(trainer: Trainer, state: TrainState, data: Dataset, *, engine: str = "numpy") -> dict[str, float]:
    """The loss and the metrics of a state on a dataset, means over its examples.

    Raises: ValueError: if the data does not fit the model and the loss.
    """
    check_trainer(trainer).check_state(state, "state")
    trainer.check_resolved()
    data = encode(data, state.names, "data")
    trainer.check_data(data, "data")
    return make_measure(trainer, data, engine)(state)


def outputs(trainer: Trainer, state: TrainState, data: Any, *, engine: str = "numpy") -> Array:
    """The model's outputs for each example, as the loss takes them: logits for classes, values for quantities.

    `predict` and `predict_proba` are the loss's functions of these. Dropout is off, and batch norm uses its running moments.

    Args:
        data: The examples (N, ...): a dataset, whose targets are not used, or any features that `Dataset` takes. Where the
            state was trained on named columns, those of a frame are found by name, in any order and among others; the
            columns of an array are taken in their order.

    Shapes:
        (N, K), in the trainer's dtype.

    Raises:
        TypeError: If the data is neither, or not of numbers.
        ValueError: If the data does not fit the model, lacks a column, or has a value that is missing or not finite.

    Examples:
        >>> import numpy as np
        >>> from fnloop.training.loop import init_state
        >>> from fnloop.nn import mlp
        >>> trainer = Trainer(model=mlp([2, 3]), loss="softmax_cross_entropy")
        >>> outputs(trainer, init_state(trainer), np.zeros((5, 2))).shape
        (5, 3)

    See Also: predict, predict_proba, evaluate
    """
    check_trainer(trainer).check_state(state, "state")
    array, columns = (data.x, data.columns) if isinstance(data, Dataset) else read_features("x", data, state.names.columns)
    check_array("x", array, ndims=FEATURE_NDIMS, columns=columns)
    x = select_columns(array, columns, state.names.columns, "x")
    trainer.check_features(x, "data")
    with quiet():
        return get_engine(engine).outputs_over(trainer, state, x)


def predict(trainer: Trainer, state: TrainState, x: Any, *, engine: str = "numpy") -> Array:
    """What the model says of each example: its class (N,), or for regression its value, (N,) or (N, K).

    A state that was trained on labels gives labels; one that was trained on codes, 0 to K - 1, gives codes.

    Args:
        x: As the data of `outputs`.

    Raises:
        TypeError: If x is not of numbers.
        ValueError: If x does not fit the model, lacks a column, or has a value that is missing or not finite.
    """
    predicted = check_trainer(trainer).loss.predict(outputs(trainer, state, x, engine=engine))
    return state.names.decode(predicted)


def predict_proba(trainer: Trainer, state: TrainState, x: Any, *, engine: str = "numpy") -> Array:
    """The probability of each class for each example: (N, K), with two columns for a binary loss.

    The columns are in the order of `state.names.classes`, if the state was trained on labels.

    Args:
        x: As the data of `outputs`.

    Raises:
        TypeError: If the loss is one for regression, or x is not of numbers.
        ValueError: If x does not fit the model, lacks a column, or has a value that is missing or not finite.
    """
    return check_trainer(trainer).loss.probabilities(outputs(trainer, state, x, engine=engine))
