"""From a dataset's own names and labels to the arrays that a model is trained on, in the terms of the training data."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.formatting import listed, short
from fnloop.core.records import evolve
from fnloop.data.dataset import Dataset
from fnloop.data.names import Names, encode_labels, select_columns, unique_labels
from fnloop.training.state import TrainState
from fnloop.training.tasks import task_of


def encode_datasets(trainer: Any, train: Any, validation: Any) -> tuple[Names, Dataset, Dataset | None]:
    """The names that a run takes from its training data, and both datasets in their terms.

    Raises:
        TypeError: For what is no dataset, or labels where the loss is for numbers.
        ValueError: If the classes do not fit the model, or the validation data has a label that the training data does not
            have, or lacks a column that it has.
    """
    names = find_names(trainer, train)
    return names, encode(train, names, "train"), None if validation is None else encode(validation, names, "validation")


def find_names(trainer: Any, train: Any, name: str = "train") -> Names:
    """The names of the columns of training data, and its classes if it has labels.

    Labels are text, booleans, and numbers where the dataset's `classes` say so, or where the loss is for classes and as many
    different whole numbers as the model has classes are not their codes, 0 to K - 1.
    """
    y, classes = check_dataset(train, name).y, train.classes
    outputs = trainer.model.outputs
    task, places = task_of(trainer.loss, outputs), max(2, outputs)
    if not classes and y.ndim == 1 and y.dtype.kind in "bU":
        classes = unique_labels(y)
    elif not classes and task == "classification":
        classes = _numbered(y, places)
    known = hasattr(trainer.loss, "task") or bool(getattr(trainer.loss, "metrics", ()))
    of_numbers = known and task in {"regression", "quantiles"}
    if not classes or (of_numbers and y.dtype.kind != "U"):
        return Names(train.columns)
    if of_numbers:
        raise TypeError(f"{name}: y must be numbers for {type(trainer.loss).__name__}, got {short(str(y.flat[0]))} at [0]")
    if task == "classification" and len(classes) != places:
        raise ValueError(
            f"{name} has {len(classes)} classes, {listed(map(repr, classes))}; a model with {outputs} "
            f"output{'' if outputs == 1 else 's'} is for {places}"
        )
    return Names(train.columns, classes)


def _numbered(y: Array, places: int) -> tuple[Any, ...]:
    """The labels if they are whole numbers, as many as there are places, but not all of 0 to places - 1; else ()."""
    if y.shape[1:] not in ((), (1,)) or (y.min() >= 0 and y.max() < places) or not np.array_equal(y, np.floor(y)):
        return ()
    found = unique_labels(y)
    return found if len(found) == places else ()


def encode(data: Any, names: Names, name: str) -> Dataset:
    """A dataset in the terms of the training data: its columns by name, its labels by their place among the classes.

    Raises: TypeError, ValueError: for a label that is none of the classes, or if a column is missing.
    """
    x = select_columns(check_dataset(data, name).x, data.columns, names.columns, name)
    y = data.y
    if names.classes and y.shape[1:] in ((), (1,)):
        y = encode_labels(y, names.classes, f"{name}: y")
    elif y.dtype.kind == "U":
        raise TypeError(
            f"{name}: y must be numbers, as the state has no classes, got {short(str(y.flat[0]), 60)} at [0]; "
            "fl.epochs and fl.init_state(trainer, train) make states that know the classes of train"
        )
    return data if x is data.x and y is data.y else Dataset(x, y, data.weights)


def check_dataset(data: Any, name: str) -> Dataset:
    """The dataset, if it is one."""
    if not isinstance(data, Dataset):
        raise TypeError(f"{name} must be a fl.Dataset(x, y), got {short(data)}")
    return data


def with_names(state: TrainState, names: Names, name: str = "state") -> TrainState:
    """The state with names, if it has none or the same.

    Raises: ValueError: if it was trained with others.
    """
    own = state.names
    for what, ours, theirs in (("columns", own.columns, names.columns), ("classes", own.classes, names.classes)):
        if ours and ours != theirs and (theirs or what == "classes"):
            raise ValueError(
                f"{name} was trained on the {what} {listed(map(repr, ours), 60)}; train has {listed(map(repr, theirs), 60)}"
            )
    merged = own.columns or names.columns, own.classes or names.classes
    return state if merged == (own.columns, own.classes) else evolve(state, names=Names(*merged))
