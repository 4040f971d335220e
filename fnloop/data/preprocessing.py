"""From a table's columns to arrays and back: standardised features, coded labels; fitted on the training part alone."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen
from fnloop.data.dataset import Dataset
from fnloop.data.standardization import mean_and_scale

Task = Literal["classification", "regression"]
LARGEST = 1e150  # the square of a larger number is beyond float64
MOST_CLASSES = 20  # a target of whole numbers with more distinct values is taken for a quantity


@frozen
class Preprocessing:
    """How a table becomes arrays.

    A column of text becomes a column of 0 and 1 for each of its `categories`; each column is then standardised,
    (x - mean) / scale, where the scale of a constant column is 1. Labels are coded by their place in `classes`, which are
    empty for regression; there the target is standardised too.
    """

    columns: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    mean: Array
    scale: Array
    target: str
    classes: tuple[str, ...]
    target_mean: float
    target_scale: float

    def features(self, table: Mapping[str, Array]) -> Array:
        """The features of a table: (N, D), float64, standardised.

        Raises: ValueError: if a column is missing, is not of its kind, or holds an unknown category.
        """
        missing = [name for name in self.columns if name not in table]
        if missing:
            raise ValueError(f"the data must have the columns {listed(self.columns)}; missing are {listed(missing)}")
        return (one_hot_columns(table, self.columns, self.categories) - self.mean) / self.scale

    def targets(self, values: Array) -> Array:
        """The coded target: integer labels, or standardised values; (N,).

        Raises: ValueError: for a label that is none of the classes, or text where a quantity is wanted.
        """
        if self.classes:
            labels = labels_as_text(values)
            strange = sorted(set(labels.tolist()) - set(self.classes))
            if strange:
                known = ", ".join(self.classes[:10]) + (", ..." if len(self.classes) > 10 else "")
                raise ValueError(f"target {short(self.target)} must be one of {known}, got {short(strange[0])}")
            return np.searchsorted(np.array(self.classes), labels)
        if values.dtype.kind != "f":
            raise ValueError(f"target {short(self.target)} must be of numbers, got {short(str(values[0]))}")
        return (values.astype(np.float64) - self.target_mean) / self.target_scale

    def dataset(self, table: Mapping[str, Array]) -> Dataset:
        """Features and target of a table."""
        if self.target not in table:
            raise ValueError(f"the data must have the target's column {short(self.target)}, got {listed(table)}")
        return Dataset(self.features(table), self.targets(table[self.target]))

    def decode(self, predicted: Array) -> Array:
        """Predictions in the table's own terms: labels as text, or values in the target's units."""
        return np.array(self.classes)[predicted] if self.classes else predicted * self.target_scale + self.target_mean


def categories_of(table: Mapping[str, Array], columns: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The texts that stand in each column, sorted; none for a column of numbers."""
    return tuple(() if table[name].dtype.kind == "f" else tuple(np.unique(table[name]).tolist()) for name in columns)


def fit_preprocessing(
    table: Mapping[str, Array], target: str, classes: Sequence[str], categories: tuple[tuple[str, ...], ...]
) -> Preprocessing:
    """The preprocessing by the statistics of a (training) table.

    Args:
        classes: all labels there are, sorted; empty for regression.
        categories: all texts that each column beside the target may hold.
    Raises: ValueError: if a column's numbers are too large to have a variance.
    """
    columns = tuple(name for name in table if name != target)
    for name, values in table.items():
        if values.dtype.kind == "f" and float(np.abs(values).max()) > LARGEST:
            raise ValueError(
                f"column {short(name)} must hold numbers of at most {LARGEST:g} in size, got {np.abs(values).max():g}"
            )
    x = one_hot_columns(table, columns, categories).astype(np.float64, copy=False)
    mean, scale = mean_and_scale(x, _epsilons(table, columns, categories))
    y = np.zeros((1, 1)) if classes else table[target].astype(np.float64)[:, None]
    target_mean, target_scale = mean_and_scale(y, 0.0 if classes else np.finfo(table[target].dtype).eps)
    return Preprocessing(
        columns,
        categories,
        mean,
        scale,
        target,
        tuple(classes),
        float(target_mean[0]),
        float(target_scale[0]),
    )


def _epsilons(table: Mapping[str, Array], columns: Sequence[str], categories: Sequence[Sequence[str]]) -> Array:
    """The relative rounding error of the values that each expanded column was made of; a category has none."""
    epsilons = [0.0 if known else np.finfo(table[name].dtype).eps for name, known in zip(columns, categories, strict=True)]
    return np.repeat(epsilons, [len(known) or 1 for known in categories])


def one_hot_columns(table: Mapping[str, Array], columns: Sequence[str], categories: Sequence[Sequence[str]]) -> Array:
    """The columns side by side, each category of a text column in one of its own: (N, D), float64."""
    parts = []
    for name, known in zip(columns, categories, strict=True):
        values = table[name]
        if not known:
            if values.dtype.kind != "f":
                raise ValueError(f"column {short(name)} must be of numbers, got {short(str(values[0]))}")
            parts.append(values[:, None])
            continue
        strange = set(labels_as_text(values).tolist()) - set(known)
        if strange:
            raise ValueError(f"column {short(name)} must hold one of {listed(known)}, got {short(min(strange))}")
        parts.append((labels_as_text(values)[:, None] == np.array(known)).astype(np.float64))
    return np.concatenate(parts, axis=1)


def infer_task(values: Array) -> Task:
    """What a target asks for: text, or whole numbers with few distinct values, are classes; all else is a quantity."""
    if values.dtype.kind != "f":
        return "classification"
    distinct = np.unique(values)
    whole = bool(np.all(distinct == np.floor(distinct)))
    return "classification" if whole and len(distinct) <= min(MOST_CLASSES, len(values) // 2) else "regression"


def labels_as_text(values: Array) -> Array:
    """Labels as text; whole numbers without their fraction."""
    if values.dtype.kind != "f":
        return values.astype(str)
    return np.array([str(int(value)) if value == int(value) else repr(float(value)) for value in values])
