"""Encoding of datasets with named columns and labels as arrays, by the names in the training data."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.formatting import listed, short
from fnloop.core.records import evolve
from fnloop.data.dataset import Dataset
from fnloop.data.names import Names, encode_labels, select_columns, unique_labels
from fnloop.losses import Loss
from fnloop.training.state import TrainState


def find_names(loss: Loss, outputs: int, train: Dataset, name: str = "train") -> Names:
    """Return the names of the columns of training data, and its classes if the targets are labels.

    Targets are labels if they are text or booleans, if the dataset has `classes`, or if the loss is for classification and
    they are integers outside 0 to K - 1, as many different ones as the model has classes.

    Args:
        loss: The loss, whose task says whether numbers can be labels.
        outputs: The number of outputs of the model, K.
        train: The training data.
        name: The name of the argument, for the error. Default: `"train"`.

    Raises:
        TypeError: If `train` is not a dataset, or has labels although the loss is for numbers.
        ValueError: If the number of classes does not fit the model.
    """
    y, classes = check_dataset(train, name).y, train.classes
    task, class_count = loss.task(outputs), max(2, outputs)
    if not classes and y.ndim == 1 and y.dtype.kind in "bU":
        classes = unique_labels(y)
    elif not classes and task == "classification":
        classes = _integer_labels(y, class_count)
    is_numeric = task in {"regression", "quantiles"}
    if not classes or (is_numeric and y.dtype.kind != "U"):
        return Names(train.columns)
    if is_numeric:
        raise TypeError(f"{name}: y must be numbers for {type(loss).__name__}, got {short(str(y.flat[0]))} at [0]")
    if task == "classification" and len(classes) != class_count:
        raise ValueError(
            f"{name} has {len(classes)} classes, {listed(map(repr, classes))}; a model with {outputs} "
            f"output{'' if outputs == 1 else 's'} needs {class_count}"
        )
    return Names(train.columns, classes)


def _integer_labels(y: Array, class_count: int) -> tuple[Any, ...]:
    """Return the different labels if they are integers, as many as there are classes, and not all codes; else ()."""
    if y.shape[1:] not in ((), (1,)):
        return ()
    are_codes = y.min() >= 0 and y.max() < class_count
    if are_codes or not np.array_equal(y, np.floor(y)):
        return ()
    labels = unique_labels(y)
    return labels if len(labels) == class_count else ()


def encode(data: Dataset, names: Names, name: str) -> Dataset:
    """Return a dataset encoded by the names of the training data: its columns in their order, its labels as codes.

    Args:
        data: The dataset.
        names: The names of the training data.
        name: The name of the argument, for the error.

    Raises:
        TypeError: If `data` is not a dataset, or its targets are text although the state has no classes.
        ValueError: If a label is not among the classes, or a column is missing.
    """
    x = select_columns(check_dataset(data, name).x, data.columns, names.columns, name)
    y = data.y
    if names.classes and y.shape[1:] in ((), (1,)):
        y = encode_labels(y, names.classes, f"{name}: y")
    elif y.dtype.kind == "U":
        raise TypeError(
            f"{name}: y must be numbers because the state has no classes, got {short(str(y.flat[0]), 60)} at [0]; "
            "the states of fl.epochs and fl.init_state(trainer, train) have the classes of train"
        )
    return data if x is data.x and y is data.y else Dataset(x, y, data.weights)


def check_dataset(data: Any, name: str) -> Dataset:
    """Check a dataset, and return it unchanged."""
    if not isinstance(data, Dataset):
        raise TypeError(f"{name} must be a fl.Dataset(x, y), got {short(data)}")
    return data


def with_names(state: TrainState, names: Names, name: str = "state") -> TrainState:
    """Return the state with these names, which must not contradict its own.

    Args:
        state: The state.
        names: The names of the training data.
        name: The name of the argument, for the error. Default: `"state"`.

    Raises:
        ValueError: If the state was trained with other names.
    """
    old = state.names
    for what, before, now in (("columns", old.columns, names.columns), ("classes", old.classes, names.classes)):
        if before and before != now and (now or what == "classes"):
            raise ValueError(
                f"{name} was trained on the {what} {listed(map(repr, before), 60)}; train has {listed(map(repr, now), 60)}"
            )
    merged = old.columns or names.columns, old.classes or names.classes
    return state if merged == (old.columns, old.classes) else evolve(state, names=Names(*merged))
