"""Names of columns and labels of classes: what a state remembers of its training data."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen


@frozen
class Names:
    """The column names and class labels of the data that a state is trained on.

    Output k of the model is for `classes[k]`; a single output is for `classes[1]` against `classes[0]`. A field is () if the
    data has no such names: features in a plain array, targets that are numbers.

    Args:
        columns: Names of the features, in the order in which the model takes them.
        classes: Labels ordered by index: text, booleans or numbers.
    """

    columns: tuple[str, ...] = ()
    classes: tuple[Any, ...] = ()

    def decode(self, predicted: Array) -> Array:
        """Return the labels of predicted class indices; any other predictions are returned unchanged.

        Args:
            predicted: Class indices (N,), or predictions of another kind.

        Examples:
            >>> Names(classes=("cat", "dog")).decode(np.array([1, 0]))
            array(['dog', 'cat'], dtype='<U3')
        """
        has_labels = self.classes and predicted.dtype.kind in "iu" and predicted.ndim == 1
        return np.array(self.classes)[predicted] if has_labels else predicted


def check_columns(name: str, columns: Any) -> tuple[str, ...]:
    """Return column names as a tuple.

    Args:
        name: Name of the argument, for messages.
        columns: A sequence of strings.

    Raises:
        TypeError: If it is not a sequence of strings.
        ValueError: If a name is repeated.
    """
    if isinstance(columns, str) or not hasattr(columns, "__iter__"):
        raise TypeError(f"{name} must be a sequence of column names, got {short(columns)}")
    checked = tuple(columns)
    for i, column in enumerate(checked):
        if not isinstance(column, str):
            raise TypeError(f"{name}[{i}] must be text, got {short(column)}")
    if len(set(checked)) < len(checked):
        repeated = next(column for i, column in enumerate(checked) if column in checked[:i])
        raise ValueError(f"{name} must be unique names, got {short(repeated)} twice")
    return tuple(map(str, checked))


def check_classes(name: str, classes: Any) -> tuple[Any, ...]:
    """Return class labels as a tuple of strings, booleans, integers or floats.

    Args:
        name: Name of the argument, for messages.
        classes: A sequence of labels, or an empty one.

    Raises:
        TypeError: If it is not a sequence, or the labels are of different types.
        ValueError: If there is only one label, or a label is repeated.
    """
    if isinstance(classes, str) or not hasattr(classes, "__iter__"):
        raise TypeError(f"{name} must be a sequence of class labels, got {short(classes)}")
    array = np.array(list(classes))
    if array.size and (array.ndim != 1 or array.dtype.kind not in "biufU" or _is_mixed(classes, array)):
        raise TypeError(f"{name} must be labels of one type, text or numbers, got {short(classes)}")
    checked = tuple(array.tolist())
    if len(set(checked)) < len(checked):
        raise ValueError(f"{name} must be unique labels, got {short(classes)}")
    if len(checked) == 1:
        raise ValueError(f"{name} must have at least 2 labels, got {short(classes)}")
    return checked


def _is_mixed(classes: Iterable[Any], array: Array) -> bool:
    """Whether NumPy converted numbers to text because other labels are text."""
    return array.dtype.kind == "U" and not all(isinstance(label, str) for label in classes)


def unique_labels(labels: Array) -> tuple[Any, ...]:
    """Return the unique labels, sorted.

    Args:
        labels: Labels of any shape.

    Examples:
        >>> unique_labels(np.array(["b", "a", "b"]))
        ('a', 'b')
    """
    return tuple(np.unique(labels).tolist())


def encode_labels(labels: Array, classes: Sequence[Any], name: str) -> Array:
    """Return the index of each label in the classes: (N,), int64.

    Args:
        labels: Labels, (N,) or (N, 1).
        classes: All labels, in any order.
        name: Name of the labels, for messages.

    Raises:
        ValueError: If a label is not one of the classes. The message has its row.

    Examples:
        >>> encode_labels(np.array(["b", "a", "b"]), ("a", "b"), "y")
        array([1, 0, 1])
    """
    all_labels, labels = np.array(classes), labels.reshape(-1)
    if (all_labels.dtype.kind == "U") != (labels.dtype.kind == "U"):
        is_unknown = np.ones(len(labels), bool)
        indices = np.zeros(len(labels), np.int64)
    else:
        order = np.argsort(all_labels)
        indices = order[np.searchsorted(all_labels[order], labels).clip(max=len(all_labels) - 1)]
        is_unknown = all_labels[indices] != labels
    if is_unknown.any():
        i = int(is_unknown.argmax())
        raise ValueError(
            f"{name} must be labels among the classes {listed(map(repr, classes))}; got {short(labels[i].item(), 60)} at [{i}]"
        )
    return indices


def select_columns(x: Array, columns: tuple[str, ...], wanted: tuple[str, ...], name: str) -> Array:
    """Return columns of x by name, in the order wanted; x itself if either has no names.

    Args:
        x: The features, (N, D).
        columns: The column names of x, or ().
        wanted: The names to select, or ().
        name: Name of x, for messages.

    Raises:
        ValueError: If x lacks a wanted column.

    Examples:
        >>> select_columns(np.array([[1, 2]]), ("a", "b"), ("b", "a"), "x")
        array([[2, 1]])
    """
    if not columns or not wanted or columns == wanted:
        return x
    index = {column: i for i, column in enumerate(columns)}
    missing = [column for column in wanted if column not in index]
    if missing:
        raise ValueError(
            f"{name} must have the columns that the state was trained on; missing: {listed(map(repr, missing))}; "
            f"it has {listed(map(repr, columns), 60)}"
        )
    return x[:, [index[column] for column in wanted]]
