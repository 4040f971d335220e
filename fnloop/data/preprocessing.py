"""Preprocessing of tables: standardized features and encoded labels, fitted on the training part alone."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen
from fnloop.data.dataset import Dataset
from fnloop.data.standardization import mean_and_scale

Task = Literal["classification", "regression"]
LARGEST = 1e150  # the square of a larger number overflows float64
MOST_CLASSES = 20  # a target of integers with more distinct values is a quantity


@frozen
class Preprocessing:
    """How a table becomes arrays, and how predictions become values of the table.

    A text column is one-hot encoded. Every column is then standardized: (x - mean) / scale, with scale 1 for a constant
    column. For classification the target is encoded as the index of its class; for regression it is standardized.

    Args:
        columns: Names of the feature columns of the table.
        categories: For each column its categories, sorted; () for a numeric column.
        mean: Mean of each encoded column, (D,).
        scale: Standard deviation of each encoded column, (D,).
        target: Name of the target column.
        classes: Labels ordered by index; () for regression.
        target_mean: Mean of the target; 0 for classification.
        target_scale: Standard deviation of the target; 1 for classification.
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
        """Return the standardized features of a table: (N, D), float64.

        Args:
            table: Column names to columns; other columns are ignored.

        Raises:
            ValueError: If a column is missing, text in place of numbers, or has an unknown category.
        """
        missing = [name for name in self.columns if name not in table]
        if missing:
            raise ValueError(f"the data must have the columns {listed(self.columns)}; missing: {listed(missing)}")
        return (one_hot_columns(table, self.columns, self.categories) - self.mean) / self.scale

    def targets(self, values: Array) -> Array:
        """Return the encoded target: class indices or standardized values, (N,).

        Args:
            values: The target column, (N,).

        Raises:
            ValueError: If a label is not one of the classes, or if the target of a regression is text.
        """
        if self.classes:
            labels = labels_as_text(values)
            unknown = sorted(set(labels.tolist()) - set(self.classes))
            if unknown:
                classes = ", ".join(self.classes[:10]) + (", ..." if len(self.classes) > 10 else "")
                raise ValueError(f"target {short(self.target)} must be one of {classes}, got {short(unknown[0])}")
            return np.searchsorted(np.array(self.classes), labels)
        if values.dtype.kind != "f":
            raise ValueError(f"target {short(self.target)} must be numbers, got {short(str(values[0]))}")
        return (values.astype(np.float64) - self.target_mean) / self.target_scale

    def dataset(self, table: Mapping[str, Array]) -> Dataset:
        """Return the features and the target of a table as a dataset.

        Args:
            table: Column names to columns, the target among them.

        Raises:
            ValueError: If a column is missing or has values of another kind.
        """
        if self.target not in table:
            raise ValueError(f"the data must have the target column {short(self.target)}, got {listed(table)}")
        return Dataset(self.features(table), self.targets(table[self.target]))

    def decode(self, predicted: Array) -> Array:
        """Return predictions as values of the table: labels as text, or quantities in the units of the target.

        Args:
            predicted: Class indices, or standardized values, (N,).
        """
        return np.array(self.classes)[predicted] if self.classes else predicted * self.target_scale + self.target_mean


def categories_of(table: Mapping[str, Array], columns: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the categories of each column, sorted; () for a numeric column.

    Args:
        table: Column names to columns.
        columns: The columns to look at.

    Examples:
        >>> categories_of({"age": np.array([1.0, 2.0]), "city": np.array(["Rome", "Bonn"])}, ["age", "city"])
        ((), ('Bonn', 'Rome'))
    """
    return tuple(() if table[name].dtype.kind == "f" else tuple(np.unique(table[name]).tolist()) for name in columns)


def fit_preprocessing(
    table: Mapping[str, Array], target: str, classes: Sequence[str], categories: tuple[tuple[str, ...], ...]
) -> Preprocessing:
    """Return the preprocessing with the statistics of a table, which should be the training part.

    Args:
        table: Column names to columns.
        target: Name of the target column.
        classes: All labels, sorted; () for regression.
        categories: All categories of each column other than the target; () for a numeric column.

    Raises:
        ValueError: If a value is larger than 1e150 in size, or a column with no categories is text.
    """
    columns = tuple(name for name in table if name != target)
    for name, values in table.items():
        if values.dtype.kind == "f" and float(np.abs(values).max()) > LARGEST:
            raise ValueError(
                f"column {short(name)} must have numbers of at most {LARGEST:g} in size, got {np.abs(values).max():g}"
            )
    x = one_hot_columns(table, columns, categories)
    mean, scale = mean_and_scale(x, _epsilons(table, columns, categories))
    y = np.zeros((1, 1)) if classes else table[target].astype(np.float64)[:, None]
    target_mean, target_scale = mean_and_scale(y, 0.0 if classes else float(np.finfo(table[target].dtype).eps))
    return Preprocessing(
        columns=columns,
        categories=categories,
        mean=mean,
        scale=scale,
        target=target,
        classes=tuple(classes),
        target_mean=float(target_mean[0]),
        target_scale=float(target_scale[0]),
    )


def _epsilons(table: Mapping[str, Array], columns: Sequence[str], categories: Sequence[Sequence[str]]) -> Array:
    """The relative rounding error of the values of each encoded column; a one-hot column has none."""
    epsilons = [0.0 if texts else np.finfo(table[name].dtype).eps for name, texts in zip(columns, categories, strict=True)]
    return np.repeat(epsilons, [len(texts) or 1 for texts in categories])


def one_hot_columns(table: Mapping[str, Array], columns: Sequence[str], categories: Sequence[Sequence[str]]) -> Array:
    """Return columns as one array, text columns one-hot encoded: (N, D), float64.

    Args:
        table: Column names to columns.
        columns: The columns to encode, in order.
        categories: The categories of each of them; () for a numeric column.

    Raises:
        ValueError: If a numeric column has text, or a text column an unknown category.

    Examples:
        >>> one_hot_columns({"city": np.array(["Rome", "Bonn"])}, ["city"], [("Bonn", "Rome")])
        array([[0., 1.],
               [1., 0.]])
    """
    parts = []
    for name, texts in zip(columns, categories, strict=True):
        values = table[name]
        if not texts:
            if values.dtype.kind != "f":
                raise ValueError(f"column {short(name)} must be numbers, got {short(str(values[0]))}")
            parts.append(values[:, None])
            continue
        labels = labels_as_text(values)
        unknown = set(labels.tolist()) - set(texts)
        if unknown:
            raise ValueError(f"column {short(name)} must be one of {listed(texts)}, got {short(min(unknown))}")
        parts.append(labels[:, None] == np.array(texts))
    return np.concatenate(parts, axis=1, dtype=np.float64)


def infer_task(values: Array) -> Task:
    """Return the task that a target suggests.

    Text is a classification, and so are integers with at most 20 distinct values, each of which occurs at least twice on
    average. Everything else is a regression.

    Args:
        values: The target column, (N,): float64 or text.

    Examples:
        >>> infer_task(np.array([0.0, 1.0, 1.0, 0.0])), infer_task(np.array([0.5, 1.0]))
        ('classification', 'regression')
    """
    if values.dtype.kind != "f":
        return "classification"
    distinct = np.unique(values)
    are_integers = bool(np.all(distinct == np.floor(distinct)))
    return "classification" if are_integers and len(distinct) <= min(MOST_CLASSES, len(values) // 2) else "regression"


def labels_as_text(values: Array) -> Array:
    """Return labels as text; integers have no decimal point.

    Args:
        values: Labels, (N,): float64 or text.

    Examples:
        >>> labels_as_text(np.array([1.0, 2.5])).tolist()
        ['1', '2.5']
    """
    if values.dtype.kind != "f":
        return values.astype(str)
    return np.array([str(int(value)) if value == int(value) else repr(float(value)) for value in values])
