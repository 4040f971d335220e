"""Preprocessing of tables: a schema and fitted encoders, from a table to arrays and from predictions to labels."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import choice
from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen
from fnloop.data.dataset import Dataset
from fnloop.data.encoders.category import CategoryEncoder, fit_category
from fnloop.data.encoders.date import DateEncoder, fit_date
from fnloop.data.encoders.number import NumberEncoder, Scaling, fit_number, fit_standard
from fnloop.data.encoders.target import ClassEncoder, QuantityEncoder, fit_quantity
from fnloop.data.encoders.text import TextEncoder
from fnloop.data.frames import as_pandas
from fnloop.data.inference import Task, infer_schema
from fnloop.data.missing_cells import check_missing, without_missing
from fnloop.data.schema import Cells, Schema
from fnloop.data.table_format import TableFormat

Encoder = NumberEncoder | CategoryEncoder | TextEncoder | DateEncoder


class Encoded(NamedTuple):
    """Encoded features.

    Args:
        x: The features, (N, D), float64.
        unseen: For each column that has them, the rows with a category that was not in the training part, or with something
            that is no number or date where the training part has them. They count as "other", or as missing.
    """

    x: Array
    unseen: Mapping[str, Array]


@frozen
class Preprocessing:
    """How a table becomes arrays, and how predictions become values of the table: a schema and fitted encoders.

    It is data: a checkpoint and a run file keep it, and `fnloop predict` needs nothing else.

    Args:
        schema: What the columns are.
        encoders: The encoders of the feature columns; a column that is constant in the training part has none.
        target_encoder: The encoder of the target.

    Examples:
        >>> table = {"size": [1.0, 2.0, 3.0, None], "colour": ["red", "red", "blue", "blue"], "price": [1.5, 2.0, 3.5, 3.0]}
        >>> preprocessing = Preprocessing.fit(table, "price")
        >>> print(preprocessing.schema)
          size: number, 1 missing
          colour: category, 2 values
          target price: a quantity
        >>> preprocessing.features(table).shape
        (4, 4)
    """

    schema: Schema
    encoders: tuple[Any, ...]
    target_encoder: ClassEncoder | QuantityEncoder

    @classmethod
    def fit(
        cls,
        frame: Any,
        target: str | None = None,
        *,
        task: Task | None = None,
        kinds: Mapping[str, str] | None = None,
        missing: Sequence[Any] = (),
        scaling: Scaling = "robust",
    ) -> "Preprocessing":
        """Return the preprocessing that is fitted to a table, which should be the training part.

        Args:
            frame: A frame of pandas, polars or another library, or a mapping of names to columns.
            target: Name of the target; None for the last column that can be one.
            task: `"classification"` or `"regression"`; by default inferred from the target.
            kinds: Kinds of columns that overrule the guesses, such as `{"zip": "category", "name": "dropped"}`.
            missing: Texts and numbers that mean a missing cell, such as `["unknown", -99]`, here and in other tables.
            scaling: `"robust"` (median, quartiles, smooth clip) or `"standard"` (mean and standard deviation).

        Raises:
            TypeError: If `frame` is not a frame, or another argument has the wrong type.
            ValueError: If a column does not exist, a kind is unknown, or the target cannot be one.
        """
        table_format = TableFormat(missing=check_missing("missing", missing))
        table = without_missing(as_pandas("frame", frame), table_format.missing)
        schema = infer_schema(table, target, task=task, kinds=kinds, table_format=table_format)
        return fit_encoders(schema, table, scaling)

    @property
    def target(self) -> str:
        """Name of the target."""
        return self.target_encoder.column

    @property
    def classes(self) -> tuple[Any, ...]:
        """The classes in order; () for a quantity."""
        return self.schema.classes

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of encoded columns of each encoder."""
        return tuple(encoder.width for encoder in self.encoders)

    def encode(self, frame: Any) -> Encoded:
        """Return the features of a table, and the rows with unknown values.

        Args:
            frame: A frame; other columns, and their order, do not matter.

        Raises:
            ValueError: If a feature column is missing.
        """
        table = self._read(frame)
        cells = self.schema.apply(table)
        x, unseen, start = np.empty((len(table), sum(self.widths))), {}, 0
        for encoder in self.encoders:
            x[:, start : start + encoder.width], unknown = encoder.encode(cells[encoder.column])
            start += encoder.width
            if unknown.any():
                unseen[encoder.column] = np.flatnonzero(unknown)
        return Encoded(x, unseen)

    def _read(self, frame: Any) -> Any:
        return without_missing(as_pandas("frame", frame), self.schema.format.missing)

    def features(self, frame: Any) -> Array:
        """Return the features of a table: (N, D), float64.

        Args:
            frame: A frame; other columns, and their order, do not matter.

        Raises:
            ValueError: If a feature column is missing.
        """
        return self.encode(frame).x

    def dataset(self, frame: Any) -> Dataset:
        """Return the features and the target of a table as a dataset; rows without a target are left out.

        Args:
            frame: A frame with the target among its columns.

        Raises:
            ValueError: If a column is missing, a label is unknown, or no row has a target.
        """
        table = self._read(frame)
        self.schema.check(list(table.columns))
        if self.target not in table.columns:
            raise ValueError(f"the data must have the target column {short(self.target)}, got {listed(table.columns)}")
        y = self.target_encoder.encode(table[self.target])
        present = y >= 0 if self.classes else ~np.isnan(y)
        if not present.any():
            raise ValueError(f"target {short(self.target)} must have values, but all {len(y)} cells are missing")
        return Dataset(self.features(table[present]), y[present])

    def decode(self, predicted: Array) -> Array:
        """Return predictions as values of the table: labels as they were written, or quantities in the target's units.

        Args:
            predicted: Class indices, or standardized values, (N,).
        """
        return self.target_encoder.decode(predicted)

    def in_units(self, deviations: Array) -> Array:
        """Return the spread of an ensemble in the terms of the table: that of a quantity is multiplied by its scale.

        Args:
            deviations: What `Ensemble.spread` returns, (N,).
        """
        return self.target_encoder.in_units(deviations)


def fit_encoders(schema: Schema, frame: Any, scaling: Scaling = "robust") -> Preprocessing:
    """Return the preprocessing of a schema, fitted to a table.

    Args:
        schema: What the columns are, and the target.
        frame: The pandas frame of the training part.
        scaling: How numbers are scaled.

    Raises:
        ValueError: If the columns are all constant.
    """
    if schema.target is None:
        raise ValueError("schema must have a target, got None")
    scaling = choice("robust", "standard")("scaling", scaling)
    name = schema.target.name
    cells = schema.apply(frame)
    kinds = {column.name: column.kind for column in schema.features}
    standard = fit_standard({name: cells[name] for name in cells if kinds[name] == "number"}) if scaling == "standard" else {}
    encoders = [standard.get(name) or _fit(kinds[name], name, part) for name, part in cells.items()]
    kept: Sequence[Encoder] = [encoder for encoder in encoders if encoder is not None]
    if not kept:
        raise ValueError(
            f"the data must have columns other than the target {short(name)} to learn from, but all are constant: "
            f"{listed(column.name for column in schema.features)}"
        )
    target = ClassEncoder(name, schema.classes) if schema.classes else fit_quantity(name, frame[name], schema.target.decimal)
    return Preprocessing(schema=schema, encoders=tuple(kept), target_encoder=target)


def _fit(kind: str, name: str, cells: Cells) -> Encoder | None:
    if kind == "number":
        return fit_number(name, cells)
    if kind == "category":
        return fit_category(name, cells)
    if kind == "date":
        return fit_date(name, cells)
    return TextEncoder(name)


def check_preprocessing(preprocessing: Any) -> None:
    """Check that an argument is a `Preprocessing`, or None."""
    if not (preprocessing is None or isinstance(preprocessing, Preprocessing)):
        raise TypeError(f"preprocessing must be a Preprocessing or None, got {short(preprocessing)}")
