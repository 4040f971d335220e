"""Datasets: examples, targets and weights as frozen arrays, with the names of columns and classes."""

from functools import partial
from typing import Any

import attrs
import numpy as np

from fnloop.core.arrays import Array, freeze
from fnloop.core.display import html_table, one_line, pluralize, shape_and_dtype
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen
from fnloop.data.array_likes import NUMERIC_KINDS, check_same_index, read_features, read_targets
from fnloop.data.names import check_classes, check_columns, encode_labels

FEATURE_NDIMS = (2, 3, 4, 5)  # allowed numbers of dimensions of x


def _unchanged(value: Any) -> Any:
    return value


@frozen
class Dataset:
    """Examples and their targets, as frozen arrays.

    Arrays and array-likes are accepted: nested lists, frames and series of pandas, polars and other libraries, memory-mapped
    and masked arrays. An array is copied unless it is read-only and nothing else can write to its memory. Missing values, and
    features that are not numbers, raise an error.

    Targets that are text or booleans are labels; so are numbers if `classes` is given. `y` keeps the labels. Training encodes
    a label as its index in the classes, the trained state stores the classes, and `predict` returns labels.

    Weights multiply each example's loss; the loss of a dataset is the sum of these products divided by N. Metrics ignore
    weights.

    Args:
        x: The features.
        y: The targets: values, class indices, class probabilities, or labels.
        weights: The weight of each example, at least 0; None (the default) weights all examples equally.
        columns: The column names of x; by default those of the frame, if x is one.
        classes: The labels, ordered by index; by default the sorted unique labels in `y`. Of two classes, the second is the
            positive one.

    Shapes:
        x: (N, D), or up to 5 dimensions if the model takes them, such as images (N, height, width, channels).
        y: (N,) or (N, K); labels (N,).
        weights: (N,).

    Raises:
        TypeError: If an array is not numeric, or the labels are of different types.
        ValueError: If there are no examples, lengths or dimensions do not match, a value is missing, NaN or infinite, or a
            label is not one of the classes.

    Examples:
        >>> data = Dataset([[0.5, 1.0], [0.1, 2.0], [0.7, 0.0]], ["cat", "dog", "cat"], columns=["length", "weight"])
        >>> data
        Dataset(x=(3, 2) float64, y=(3,) <U3, 3 examples)

    See Also:
        `batches`, `fnloop.split`
    """

    x: Array = attrs.field(converter=_unchanged)
    y: Array = attrs.field(converter=_unchanged)
    weights: Array | None = attrs.field(converter=_unchanged, default=None)
    columns: tuple[str, ...] = attrs.field(converter=partial(check_columns, "columns"), default=(), kw_only=True)
    classes: tuple[Any, ...] = attrs.field(converter=partial(check_classes, "classes"), default=(), kw_only=True)

    def __attrs_post_init__(self) -> None:
        for name in ("y", "weights"):
            check_same_index(name, getattr(self, name), self.x)
        x, columns = read_features("x", self.x)
        weights = None if self.weights is None else freeze(read_features("weights", self.weights)[0])
        if self.columns and columns and columns != self.columns:
            raise ValueError(f"columns must be those of x, {listed(columns)}, got {listed(self.columns)}")
        y = freeze(read_targets("y", self.y))
        for name, value in {"x": freeze(x), "y": y, "weights": weights, "columns": self.columns or columns}.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        check_array("x", self.x, ndims=FEATURE_NDIMS, columns=self.columns)
        if self.columns and self.x.shape[1:] != (len(self.columns),):
            raise ValueError(
                f"columns must be one name for each column of x, got {len(self.columns)} names and x of shape {self.x.shape}"
            )
        check_array("y", self.y, ndims=(1, 2), kinds="biufU")
        if (self.classes or self.y.dtype.kind == "U") and self.y.shape[1:] not in ((), (1,)):
            raise ValueError(f"y must be labels of shape (N,), got shape {self.y.shape}")
        if self.classes:
            encode_labels(self.y, self.classes, "y")
        if len(self.x) != len(self.y):
            raise ValueError(f"x and y must have the same length, got {len(self.x)} and {len(self.y)}")
        if self.weights is not None:
            check_array("weights", self.weights, ndims=(1,))
            if len(self.weights) != len(self.x):
                raise ValueError(
                    f"weights must have one value for each of the {len(self.x)} examples, got {len(self.weights)}"
                )
            if self.weights.min() < 0:
                raise ValueError(f"weights must be at least 0, got {self.weights.min()}")

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        return one_line("Dataset", array_facts(self.x, self.y, self.weights), pluralize(len(self), "example"))

    def _repr_html_(self) -> str:
        return html_table("Dataset", {"examples": f"{len(self):,}", **array_facts(self.x, self.y, self.weights)})


def array_facts(x: Array, y: Array, weights: Array | None) -> dict[str, str]:
    """Return the shape and dtype of each array of examples, for a repr.

    Args:
        x: The features.
        y: The targets.
        weights: The weights, or None.
    """
    arrays = {"x": x, "y": y, "weights": weights}
    return {name: shape_and_dtype(array) for name, array in arrays.items() if array is not None}


def check_array(
    name: str, array: Array, ndims: tuple[int, ...], *, kinds: str = NUMERIC_KINDS, columns: tuple[str, ...] = ()
) -> None:
    """Check that an array can be trained on: numeric, not empty, finite, of an allowed number of dimensions.

    Args:
        name: Name of the argument, for messages.
        array: The array.
        ndims: Allowed numbers of dimensions, ascending.
        kinds: Allowed kinds of dtype, as in `dtype.kind`; by default numbers.
        columns: Column names, for messages; () if there are none.

    Raises:
        TypeError: If the dtype is of another kind.
        ValueError: If the array is empty, a value is NaN or infinite, or the number of dimensions is not allowed.
    """
    if array.dtype.kind not in kinds:
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    if array.ndim not in ndims:
        allowed = f"{ndims[0]}-dimensional" if len(ndims) == 1 else f"{ndims[0]}- to {ndims[-1]}-dimensional"
        hint = "; a single example is [x], a single column x.reshape(-1, 1)" if array.ndim == 1 else ""
        raise ValueError(f"{name} must be {allowed}, got shape {array.shape}{hint}")
    if array.size == 0:
        raise ValueError(f"{name} must have at least one example and one column, got shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array.sum(dtype=np.float64)):
        for start in range(0, len(array), 4096):  # the sum may overflow, so check the values themselves
            bad = np.argwhere(~np.isfinite(array[start : start + 4096]))
            if len(bad):
                index = (start + int(bad[0][0]), *map(int, bad[0][1:]))
                column = f", column {short(columns[index[1]], 60)}" if columns else ""
                raise ValueError(f"{name} must be finite, got {array[index]} at {list(index)}{column}")
