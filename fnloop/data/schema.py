"""The schema of a table: the kinds of its columns, decided once, printed, kept and applied to every other table."""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import attrs
import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import choice
from fnloop.core.formatting import listed, short
from fnloop.core.records import evolve, frozen
from fnloop.data.cells import date_cells, number_cells, text_cells
from fnloop.data.table_format import TableFormat

FEATURES = "number", "category", "text", "date"
LEFT_OUT = "id", "row number", "constant", "dropped", "group", "time", "split"
KINDS = (*FEATURES, *LEFT_OUT)
SHOWN_COLUMNS = 40


@frozen
class Column:
    """A column of a schema: its kind, and what the guess rests on.

    Args:
        name: The name.
        kind: `"number"`, `"category"`, `"text"` or `"date"`; or why it is not a feature: `"id"`, `"row number"`,
            `"constant"`, `"dropped"`, `"group"`, `"time"` or `"split"`.
        missing: Number of missing cells in the table that the schema was made from.
        distinct: Number of distinct values in it.
        decimal: Decimal mark of the numbers, where they are text.
        date_format: Format of the dates, where they are text.
        notes: What the user should know about the column.
    """

    name: str
    kind: Annotated[str, choice(*KINDS)]
    missing: int = 0
    distinct: int = 0
    decimal: str = "."
    date_format: str = "ISO8601"
    notes: tuple[str, ...] = ()

    @property
    def is_feature(self) -> bool:
        """Whether the column is given to the model."""
        return self.kind in FEATURES

    def __str__(self) -> str:
        counts = [f"{self.distinct:,} {'values' if self.kind == 'category' else 'different texts'}"]
        facts = counts if self.kind in ("category", "text") else []
        facts += [f"{self.missing:,} missing"] if self.missing else []
        kind = self.kind if self.is_feature else f"left out ({self.kind})"
        return "; ".join([", ".join([f"{short(self.name, 60)[1:-1]}: {kind}", *facts]), *self.notes])


class Cells(NamedTuple):
    """The cells of a column, as its encoder takes them.

    Args:
        values: Numbers, or seconds since 1970, with NaN for missing ones; or, for text, indices of `texts`, -1 for missing.
        texts: The distinct texts of a category or text column; () for another.
        odd: Whether each cell has something that the column's kind does not allow; it counts as missing.
    """

    values: Array
    texts: Array
    odd: Array


@frozen
class Schema:
    """The columns of a table, its target and its classes.

    A schema is made once, by `infer_schema`, and applied to other tables, which are not looked at for what they might be.

    Args:
        columns: The columns, without the target.
        target: The target column; None if there is none.
        classes: The classes of the target, in order; () for a quantity.
        names: The names of all columns, in order.
        format: How the file was written, as far as other files of the same kind are read in the same way.
        notes: What the user should know about the table.
    """

    columns: tuple[Column, ...]
    target: Column | None = None
    classes: tuple[Any, ...] = ()
    names: tuple[str, ...] = ()
    format: TableFormat = attrs.field(factory=TableFormat)
    notes: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that are given to the model."""
        return tuple(column for column in self.columns if column.is_feature)

    def column(self, name: str) -> Column:
        """Return a column by its name.

        Args:
            name: The name.
        """
        return next(column for column in self.columns if column.name == name)

    def text_columns(self, names: Sequence[str], *, in_order: bool = False) -> tuple[str, ...]:
        """Return those columns whose cells are to be read as they are written.

        Args:
            names: The names of a file's columns.
            in_order: Whether the columns are known by their order.
        """
        texts = {column.name for column in self.columns if column.kind in ("category", "text")}
        if self.target is not None and self.classes:
            texts.add(self.target.name)
        known = self.known_names(names, in_order=in_order)
        return tuple(name for name, column in zip(names, known, strict=True) if column in texts)

    def known_names(self, names: Sequence[str], *, in_order: bool) -> tuple[str, ...]:
        """Return the names by which the schema knows the columns of a table.

        Args:
            names: The names of the table's columns.
            in_order: Whether they mean nothing, as there is no header: then the columns are those of the schema, in order;
                the target may be left out.

        Raises:
            ValueError: If there are more or fewer columns.
        """
        if not in_order:
            return tuple(names)
        others = tuple(name for name in self.names if self.target is None or name != self.target.name)
        for known in (self.names, others):
            if len(known) == len(names):
                return known
        raise ValueError(
            f"without a header the data must have the {len(others)} columns {listed(others)} in this order, with or without "
            f"the target, got {len(names)} columns"
        )

    def with_decimal(self, decimal: str) -> "Schema":
        """Return the schema for a file of another decimal mark: that of all columns which had the mark of the first file.

        Args:
            decimal: The decimal mark of numbers in text.
        """
        usual = self.format.usual_decimal or "."
        columns = (evolve(column, decimal=decimal) if column.decimal == usual else column for column in self.columns)
        return self if decimal == usual else evolve(self, columns=tuple(columns))

    def check(self, names: Sequence[str]) -> None:
        """Check that a table has all feature columns.

        Args:
            names: The names of its columns.

        Raises:
            ValueError: If one is missing.
        """
        present = set(names)
        missing = [column.name for column in self.features if column.name not in present]
        if missing:
            raise ValueError(
                f"the data must have the columns {listed(column.name for column in self.features)}; "
                f"missing: {listed(missing)}; got {listed(names)}"
            )

    def apply(self, frame: Any) -> dict[str, Cells]:
        """Return the cells of each feature column of a table.

        Args:
            frame: A pandas frame; other columns, and their order, do not matter.

        Raises:
            ValueError: If a feature column is missing.
        """
        self.check([str(name) for name in frame.columns])
        return {column.name: cells_of(frame[column.name], column) for column in self.features}

    def __str__(self) -> str:
        columns = [str(column) for column in self.columns]
        if len(columns) > SHOWN_COLUMNS:
            noted = [str(column) for column in self.columns if column.notes][:SHOWN_COLUMNS]
            counts = {kind: sum(column.kind == kind for column in self.columns) for kind in KINDS}
            summary = listed(f"{count:,} {kind}" for kind, count in counts.items() if count)
            columns = [*noted, f"... ({len(self.columns):,} columns: {summary})"]
        target = () if self.target is None else (_target_line(self.target, self.classes),)
        return "\n".join(f"  {line}" for line in (*columns, *target, *(f"note: {note}" for note in self.notes)))


def _target_line(column: Column, classes: Sequence[Any]) -> str:
    facts = [f"{len(classes):,} classes ({listed(classes, 60)})" if classes else "a quantity"]
    facts += [f"{column.missing:,} missing"] if column.missing else []
    return "; ".join([f"target {short(column.name, 60)[1:-1]}: {', '.join(facts)}", *column.notes])


def cells_of(series: Any, column: Column) -> Cells:
    """Return the cells of a column, as its kind says.

    Args:
        series: The pandas series.
        column: What it is.
    """
    nothing: Array = np.empty(0, object)
    if column.kind == "number":
        values, odd = number_cells(series, column.decimal)
        return Cells(values, nothing, odd)
    if column.kind in ("date", "time"):
        values, odd = date_cells(series, column.date_format)
        return Cells(values, nothing, odd)
    texts, codes = text_cells(series)
    return Cells(codes, texts, np.zeros(len(codes), bool))
