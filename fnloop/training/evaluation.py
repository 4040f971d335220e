"""Functions of a state and data: metrics, outputs, predictions and probabilities."""

from collections.abc import Callable
from typing import Any

from fnloop.core.arrays import Array
from fnloop.data.array_likes import read_features
from fnloop.data.dataset import FEATURE_NDIMS, Dataset, check_array
from fnloop.data.names import select_columns
from fnloop.training.encoding import encode
from fnloop.training.engine import compute_outputs
from fnloop.training.measurement import make_measure, measure_outputs, quiet
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer, check_trainer


def evaluate(trainer: Trainer, state: TrainState, data: Dataset, *, engine: str = "numpy") -> dict[str, float]:
    """Return the loss and the metrics of a state on a dataset, by name.

    Args:
        trainer: The trainer.
        state: The state; its parameters are evaluated.
        data: The dataset.
        engine: `"numpy"` or `"jax"`, as in `epochs`.

    Raises:
        TypeError: If trainer, state or data are of another type.
        ValueError: If the state is of another model, or the data does not fit the model and the loss.

    Examples:
        >>> import numpy as np
        >>> from fnloop.training.start import init_state
        >>> from fnloop.nn import mlp
        >>> trainer = Trainer(model=mlp([2, 1]), loss="mse", metrics=())
        >>> evaluate(trainer, init_state(trainer), Dataset(np.zeros((3, 2)), np.ones(3)))
        {'loss': 1.0}

    See Also:
        predict, outputs
    """
    return make_measure(trainer, _encoded(trainer, state, data), engine)(state)


def evaluate_outputs(
    trainer: Trainer, state: TrainState, data: Dataset, outputs_of: Callable[[Array], Array]
) -> dict[str, float]:
    """Return the loss and the metrics of other outputs than the model's, by name.

    Args:
        trainer: The trainer, which has the loss and the metrics.
        state: The state, which has the names of the columns and classes.
        data: The dataset.
        outputs_of: The function from the features to the outputs.

    Raises:
        TypeError: If trainer, state or data are of another type.
        ValueError: If the data does not fit the model and the loss.
    """
    encoded = _encoded(trainer, state, data)
    return measure_outputs(trainer, encoded, outputs_of(encoded.x))


def _encoded(trainer: Trainer, state: TrainState, data: Dataset) -> Dataset:
    """Return the dataset as the trainer takes it."""
    check_trainer(trainer).check_state(state, "state")
    trainer.check_resolved()
    data = encode(data, state.names, "data")
    trainer.check_data(data, "data")
    return data


def outputs(trainer: Trainer, state: TrainState, data: Any, *, engine: str = "numpy") -> Array:
    """Return the model's outputs for each example, as the loss takes them: logits of classes, or values.

    `predict` and `predict_proba` are functions of these. Dropout is off, and batch norm uses its running moments.

    Args:
        trainer: The trainer.
        state: The state, with the parameters.
        data: The examples, (N, ...): a dataset, whose targets are not used, or any features that `Dataset` takes. If the state
            was trained on named columns, the columns of a frame are found by name, in any order and among others; the columns
            of an array are taken in order.
        engine: `"numpy"` or `"jax"`, as in `epochs`.

    Returns:
        The outputs, (N, K), in the trainer's dtype.

    Raises:
        TypeError: If the data is neither a dataset nor features, or not of numbers.
        ValueError: If the data does not fit the model, lacks a column, or has a value that is missing or not finite.

    Examples:
        >>> import numpy as np
        >>> from fnloop.training.start import init_state
        >>> from fnloop.nn import mlp
        >>> trainer = Trainer(model=mlp([2, 3]), loss="softmax_cross_entropy")
        >>> outputs(trainer, init_state(trainer), np.zeros((5, 2))).shape
        (5, 3)

    See Also:
        predict, predict_proba, evaluate
    """
    x = read_examples(trainer, state, data)
    with quiet():
        return compute_outputs(trainer, state, x, engine)


def read_examples(trainer: Trainer, state: TrainState, data: Any) -> Array:
    """Return examples as the model takes them: (N, ...), the columns in the order of the training data.

    Args:
        trainer: The trainer.
        state: The state, which has the names of the columns.
        data: The examples, as the data of `outputs`.

    Raises:
        TypeError: If the data is neither a dataset nor features, or not of numbers.
        ValueError: If the data does not fit the model, lacks a column, or has a value that is missing or not finite.
    """
    check_trainer(trainer).check_state(state, "state")
    array, columns = (data.x, data.columns) if isinstance(data, Dataset) else read_features("x", data, state.names.columns)
    check_array("x", array, ndims=FEATURE_NDIMS, columns=columns)
    x = select_columns(array, columns, state.names.columns, "x")
    trainer.check_features(x, "data")
    return x


def predict(trainer: Trainer, state: TrainState, x: Any, *, engine: str = "numpy") -> Array:
    """Return the prediction for each example: its class, (N,), or for regression its value, (N,) or (N, K).

    A state that was trained on labels predicts labels; one that was trained on codes, 0 to K - 1, predicts codes.

    Args:
        trainer: The trainer.
        state: The state, with the parameters.
        x: The examples, as the data of `outputs`.
        engine: `"numpy"` or `"jax"`, as in `epochs`.

    Raises:
        TypeError: If x is not of numbers.
        ValueError: If x does not fit the model, lacks a column, or has a value that is missing or not finite.

    Examples:
        >>> import numpy as np
        >>> from fnloop.training.start import init_state
        >>> from fnloop.nn import mlp
        >>> trainer = Trainer(model=mlp([2, 3]), loss="softmax_cross_entropy")
        >>> predict(trainer, init_state(trainer), np.zeros((4, 2)))
        array([0, 0, 0, 0])

    See Also:
        predict_proba, outputs
    """
    predicted = check_trainer(trainer).loss.predict(outputs(trainer, state, x, engine=engine))
    return state.names.decode(predicted)


def predict_proba(trainer: Trainer, state: TrainState, x: Any, *, engine: str = "numpy") -> Array:
    """Return the probability of each class for each example: (N, K), with two columns for a binary loss.

    If the state was trained on labels, the columns are in the order of `state.names.classes`.

    Args:
        trainer: The trainer.
        state: The state, with the parameters.
        x: The examples, as the data of `outputs`.
        engine: `"numpy"` or `"jax"`, as in `epochs`.

    Raises:
        TypeError: If the loss is one for regression, or x is not of numbers.
        ValueError: If x does not fit the model, lacks a column, or has a value that is missing or not finite.

    Examples:
        >>> import numpy as np
        >>> from fnloop.training.start import init_state
        >>> from fnloop.nn import mlp
        >>> trainer = Trainer(model=mlp([2, 1]), loss="bce")
        >>> predict_proba(trainer, init_state(trainer), np.zeros((1, 2))).tolist()
        [[0.5, 0.5]]

    See Also:
        predict, outputs
    """
    return check_trainer(trainer).loss.probabilities(outputs(trainer, state, x, engine=engine))
