"""Datasets, batches, and the order in which an epoch sees its examples."""

from functools import partial
from typing import Any

import attrs
import numpy as np

from fnloop.core.arrays import Array, freeze
from fnloop.core.display import html_table, one_line, pluralize, shape_and_dtype
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen
from fnloop.data.array_likes import NUMBERS, check_same_index, read_features, read_targets
from fnloop.data.names import check_classes, check_columns, encode_labels

FEATURE_NDIMS = (2, 3, 4, 5)  # dimensions that examples may have together


def _unchanged(value: Any) -> Any:
    return value


@frozen
class Dataset:
    """Examples and their targets, frozen; an array that nothing can write to is taken without a copy.

    Everything that is an array, or becomes one, is taken: nested lists, frames and series of pandas, polars and their like,
    memory-mapped and masked arrays. The names of a frame's columns are kept. Values that are missing are refused, and so are
    features that are not numbers.

    Targets that are text or booleans are labels, and numbers are if `classes` says so. They stay in `y` as they are; training
    codes them by their place among the classes, the state that is trained knows these, and `predict` returns labels.

    With weights the loss is the mean over the N examples of weight times loss; metrics count each example once.

    Args:
        x: The features.
        y: The targets: numbers, codes of classes, shares of classes, or labels.
        weights: Of the examples, at least 0, or None where all count the same.
        columns: The names of the columns of x; by default those of the frame.
        classes: The labels in the order of their codes. By default the different labels in `y`, sorted; of two classes the
            second is the positive one.

    Shapes:
        `x` is (N, D), or has more dimensions where the model takes them, as images (N, height, width, channels); `y` is (N,)
        or (N, K), labels (N,); `weights` are (N,).

    Raises:
        TypeError: If an array is not of numbers, or labels are of several kinds.
        ValueError: If there are no examples, lengths or dimensions do not fit, a value is missing, NaN or infinite, or a label
            is none of the classes.

    Examples:
        >>> data = Dataset([[0.5, 1.0], [0.1, 2.0], [0.7, 0.0]], ["cat", "dog", "cat"], columns=["length", "weight"])
        >>> data
        Dataset(x=(3, 2) float64, y=(3,) <U3, 3 examples)
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
        read = {"x": freeze(x), "y": freeze(read_targets("y", self.y)), "weights": weights, "columns": self.columns or columns}
        for name, value in read.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        check_array("x", self.x, ndims=FEATURE_NDIMS, columns=self.columns)
        if self.columns and self.x.shape[1:] != (len(self.columns),):
            raise ValueError(f"columns must be names of the columns of x, {len(self.columns)}, got x of shape {self.x.shape}")
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
                raise ValueError(f"weights must be one for each of the {len(self.x)} examples, got {len(self.weights)}")
            if self.weights.min() < 0:
                raise ValueError(f"weights must be at least 0, got {self.weights.min()}")

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        return one_line("Dataset", array_facts(self), pluralize(len(self), "example"))

    def _repr_html_(self) -> str:
        return html_table("Dataset", {"examples": f"{len(self):,}", **array_facts(self)})


def array_facts(examples: Any) -> dict[str, str]:
    """The shape and dtype of each array."""
    arrays = {"x": examples.x, "y": examples.y, "weights": examples.weights}
    return {name: shape_and_dtype(array) for name, array in arrays.items() if array is not None}


def check_array(
    name: str, array: Array, ndims: tuple[int, ...], *, kinds: str = NUMBERS, columns: tuple[str, ...] = ()
) -> None:
    """Refuse what no model can be trained on: no examples, no numbers, NaN, infinity, a wrong number of dimensions."""
    if array.dtype.kind not in kinds:
        raise TypeError(f"{name} must be of real numbers, got dtype {array.dtype}")
    if array.ndim not in ndims:
        allowed = f"{ndims[0]}-dimensional" if len(ndims) == 1 else f"{ndims[0]}- to {ndims[-1]}-dimensional"
        one = "; one example is [x], one column x.reshape(-1, 1)" if array.ndim == 1 else ""
        raise ValueError(f"{name} must be {allowed}, got shape {array.shape}{one}")
    if array.size == 0:
        raise ValueError(f"{name} must hold at least one example and one column, got shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array.sum(dtype=np.float64)):
        for start in range(0, len(array), 4096):  # the sum may overflow: look at the values themselves
            bad = np.argwhere(~np.isfinite(array[start : start + 4096]))
            if len(bad):
                at = (start + int(bad[0][0]), *map(int, bad[0][1:]))
                column = f", column {short(columns[at[1]], 60)}" if columns else ""
                raise ValueError(f"{name} must be finite, got {array[at]} at {list(at)}{column}")
