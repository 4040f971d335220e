"""What columns and classes are called: the names that a state learns from the data it is trained on."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen


@frozen
class Names:
    """The names in the data that a state is trained on: without them its outputs and its features mean nothing.

    Output k of the model speaks of `classes[k]`; one output, of `classes[1]` against `classes[0]`. Both are () where the data
    has none: features in an array, and targets that are numbers.

    Args:
        columns: Of the features, in the order in which the model takes them.
        classes: Labels in the order of their codes: text, booleans or numbers.
    """

    columns: tuple[str, ...] = ()
    classes: tuple[Any, ...] = ()

    def decode(self, predicted: Array) -> Array:
        """The labels of predicted codes; other predictions, and codes of classes without a name, as they are."""
        coded = self.classes and predicted.dtype.kind in "iu" and predicted.ndim == 1
        return np.array(self.classes)[predicted] if coded else predicted


def check_columns(name: str, columns: Any) -> tuple[str, ...]:
    """The names of columns as a tuple.

    Raises: TypeError: for what is not a sequence of text; ValueError: for a name that comes twice.
    """
    if isinstance(columns, str) or not hasattr(columns, "__iter__"):
        raise TypeError(f"{name} must be the names of the columns of x, got {short(columns)}")
    found = tuple(columns)
    for i, column in enumerate(found):
        if not isinstance(column, str):
            raise TypeError(f"{name}[{i}] must be text, got {short(column)}")
    if len(set(found)) < len(found):
        twice = next(column for i, column in enumerate(found) if column in found[:i])
        raise ValueError(f"{name} must be different names, got {short(twice)} twice")
    return tuple(map(str, found))


def check_classes(name: str, classes: Any) -> tuple[Any, ...]:
    """The labels of classes as a tuple of text, booleans, integers or floats.

    Raises: TypeError: for what is not a sequence of labels of one kind; ValueError: for only one, or one that comes twice.
    """
    if isinstance(classes, str) or not hasattr(classes, "__iter__"):
        raise TypeError(f"{name} must be the labels of the classes, got {short(classes)}")
    array = np.array(list(classes))
    if array.size and (array.ndim != 1 or array.dtype.kind not in "biufU" or _mixed(classes, array)):
        raise TypeError(f"{name} must be labels of one kind, text or numbers, got {short(classes)}")
    found = tuple(array.tolist())
    if len(set(found)) < len(found):
        raise ValueError(f"{name} must be different labels, got {short(classes)}")
    if len(found) == 1:
        raise ValueError(f"{name} must be at least 2 labels, got {short(classes)}")
    return found


def _mixed(classes: Any, array: Array) -> bool:
    """Whether numbers became text beside text."""
    return array.dtype.kind == "U" and not all(isinstance(label, str) for label in classes)


def unique_labels(labels: Array) -> tuple[Any, ...]:
    """The different labels, sorted."""
    return tuple(np.unique(labels).tolist())


def encode_labels(labels: Array, classes: Sequence[Any], name: str) -> Array:
    """The place of each label among the classes: (N,), int64.

    Raises: ValueError: for a label that is none of them; the message says where.
    """
    known, labels = np.array(classes), labels.reshape(-1)
    if (known.dtype.kind == "U") != (labels.dtype.kind == "U"):
        wrong = np.ones(len(labels), bool)
        codes = np.zeros(len(labels), np.int64)
    else:
        order = np.argsort(known)
        codes = order[np.searchsorted(known[order], labels).clip(max=len(known) - 1)]
        wrong = known[codes] != labels
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(
            f"{name} must be labels among the classes {listed(map(repr, classes))}; got {short(labels[i].item(), 60)} at [{i}]"
        )
    return codes


def select_columns(x: Array, columns: tuple[str, ...], wanted: tuple[str, ...], name: str) -> Array:
    """The wanted columns in their order, by name; x itself where it, or what is wanted, has no names.

    Raises: ValueError: if one is missing.
    """
    if not columns or not wanted or columns == wanted:
        return x
    place = {column: i for i, column in enumerate(columns)}
    missing = [column for column in wanted if column not in place]
    if missing:
        raise ValueError(
            f"{name} must have the columns that the state was trained on; missing: {listed(map(repr, missing))}; "
            f"there are {listed(map(repr, columns), 60)}"
        )
    return x[:, [place[column] for column in wanted]]
