"""Datasets, batches, and the order in which an epoch sees its examples."""

from collections.abc import Iterator
from functools import partial
from itertools import starmap
from typing import Any

import attrs
import numpy as np

from fnloop.arrays import NUMBERS, check_index, features, targets
from fnloop.names import check_classes, check_columns, codes_of
from fnloop.random import permutation
from fnloop.record import freeze, record
from fnloop.short import listed, short
from fnloop.shown import counted, line, shape_of, table
from fnloop.typing import Array, PositiveInt, Seed, integer

CHUNK = 1 << 16  # bytes of examples gathered at once, an eighth of the data's at most; batches are views into a chunk
EXAMPLES = (2, 3, 4, 5)  # dimensions that examples may have together
_size = integer(1)
_seed = integer(0, 2**64)
_epoch = integer(0)


def _as_given(value: Any) -> Any:
    return value


@record
class Batch:
    """The examples of one step, as `Dataset` has them."""

    x: Array
    y: Array
    weights: Array | None = None

    def cast(self, dtype: str) -> tuple[Array, Array, Array | None]:
        """The arrays in a dtype."""
        weights = None if self.weights is None else self.weights.astype(dtype, copy=False)
        return self.x.astype(dtype, copy=False), self.y.astype(dtype, copy=False), weights

    def __repr__(self) -> str:
        return line("Batch", _arrays(self), counted(len(self.x), "example"))

    def _repr_html_(self) -> str:
        return table("Batch", {"examples": f"{len(self.x):,}", **_arrays(self)})


@record
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

    x: Array = attrs.field(converter=_as_given)
    y: Array = attrs.field(converter=_as_given)
    weights: Array | None = attrs.field(converter=_as_given, default=None)
    columns: tuple[str, ...] = attrs.field(converter=partial(check_columns, "columns"), default=(), kw_only=True)
    classes: tuple[Any, ...] = attrs.field(converter=partial(check_classes, "classes"), default=(), kw_only=True)

    def __attrs_post_init__(self) -> None:
        for name in ("y", "weights"):
            check_index(name, getattr(self, name), self.x)
        x, columns = features("x", self.x)
        weights = None if self.weights is None else freeze(features("weights", self.weights)[0])
        if self.columns and columns and columns != self.columns:
            raise ValueError(f"columns must be those of x, {listed(columns)}, got {listed(self.columns)}")
        read = {"x": freeze(x), "y": freeze(targets("y", self.y)), "weights": weights, "columns": self.columns or columns}
        for name, value in read.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        check_array("x", self.x, ndims=EXAMPLES, columns=self.columns)
        if self.columns and self.x.shape[1:] != (len(self.columns),):
            raise ValueError(f"columns must be names of the columns of x, {len(self.columns)}, got x of shape {self.x.shape}")
        check_array("y", self.y, ndims=(1, 2), kinds="biufU")
        if (self.classes or self.y.dtype.kind == "U") and self.y.shape[1:] not in ((), (1,)):
            raise ValueError(f"y must be labels of shape (N,), got shape {self.y.shape}")
        if self.classes:
            codes_of(self.y, self.classes, "y")
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
        return line("Dataset", _arrays(self), counted(len(self), "example"))

    def _repr_html_(self) -> str:
        return table("Dataset", {"examples": f"{len(self):,}", **_arrays(self)})


def _arrays(examples: Batch | Dataset) -> dict[str, str]:
    """The shape and dtype of each array."""
    arrays = {"x": examples.x, "y": examples.y, "weights": examples.weights}
    return {name: shape_of(array) for name, array in arrays.items() if array is not None}


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


def batches(dataset: Dataset, size: int, *, seed: int, epoch: int) -> Iterator[Batch]:
    """The batches of one epoch in their order: a pure function of the arguments, whatever came before.

    Every example comes once; the last batch may be smaller.

    Args:
        size: examples in a batch, at least 1.
        epoch: the 0-based epoch; its order is had without those before it.

    Examples:
        >>> data = Dataset(np.zeros((5, 2)), np.arange(5))
        >>> [batch.y.tolist() for batch in batches(data, 2, seed=0, epoch=0)]
        [[3, 2], [4, 1], [0]]
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(f"dataset must be a fl.Dataset(x, y), got {type(dataset).__name__}")
    checked = _size("size", size), _seed("seed", seed), _epoch("epoch", epoch)
    return starmap(Batch, batches_from(dataset, *checked, 0, count_batches(dataset, checked[0]), None))


def count_batches(dataset: Dataset, size: int) -> int:
    """The number of batches in an epoch."""
    return -(-len(dataset) // size)


def batches_from(
    dataset: Dataset, size: PositiveInt, seed: Seed, epoch: int, first: int, stop: int, dtype: str | None
) -> Iterator[tuple[Array, Array, Array | None]]:
    """The (x, y, weights) of an epoch's batches in [first, stop), so that it can go on in its middle; cast, if a dtype is
    given.
    """
    order = permutation(len(dataset), seed, epoch)[: stop * size]
    total = dataset.x.nbytes + dataset.y.nbytes
    chunk = size * max(1, min(CHUNK, total // 8) * len(dataset) // (total * size))
    for start in range(first * size, len(order), chunk):
        rows = order[start : start + chunk]
        x, y = _gather(dataset.x, rows, dtype), _gather(dataset.y, rows, dtype)
        weights = None if dataset.weights is None else _gather(dataset.weights, rows, dtype)
        for low in range(0, len(rows), size):
            at = slice(low, low + size)
            yield x[at], y[at], None if weights is None else weights[at]


def _gather(array: Array, rows: Array, dtype: str | None) -> Array:
    gathered = np.asarray(array).take(rows, axis=0)  # of a memory-mapped file, only these rows are read
    gathered = gathered.astype(dtype or gathered.dtype, copy=False)
    gathered.flags.writeable = False
    return gathered
