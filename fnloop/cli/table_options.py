"""The options that say how a table is written and what its columns are."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import signature
from typing import Annotated, Any

import attrs
import typer

from fnloop.core.checks import choice
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.data.reading import TextColumns
from fnloop.data.schema import FEATURES
from fnloop.data.table_format import TableFormat

ColumnOption = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="NAME=KIND", help=f"What a column is: {', '.join(FEATURES)}. Repeatable."),
]
DropOption = Annotated[list[str] | None, typer.Option("--drop", metavar="NAME", help="Leave out a column. Repeatable.")]
HeaderOption = Annotated[
    bool | None, typer.Option("--header/--no-header", help="Whether the first line has the names. Default: detected.")
]
MissingOption = Annotated[
    list[str] | None, typer.Option("--missing", metavar="TEXT", help="Another text of missing cells, such as -99. Repeatable.")
]
DelimiterOption = Annotated[
    str | None, typer.Option(help="Character between cells, or tab, space, comma, semicolon, bar. Default: detected.")
]
DecimalOption = Annotated[str | None, typer.Option(help="Decimal mark, . or , (a comma). Default: detected.")]
EncodingOption = Annotated[str | None, typer.Option(help="Encoding of the file. Default: detected.")]
GroupOption = Annotated[str | None, typer.Option(help="Column whose equal values stay in one part, such as a patient.")]
TimeOption = Annotated[str | None, typer.Option(help="Column of times: the latest rows are the test set.")]
SplitOption = Annotated[str | None, typer.Option(help="Column with the part of each row: train, validation or test.")]


@frozen
class TableOptions:
    """How a table is written, and what its columns are.

    Args:
        format: The layout of the file.
        kinds: Kinds of columns that overrule the guesses.
        group: Column whose equal values stay in one part.
        time: Column of times to split by.
        split: Column with the part of each row.
    """

    format: TableFormat = attrs.field(factory=TableFormat)
    kinds: Mapping[str, str] = attrs.field(factory=dict)
    group: str | None = None
    time: str | None = None
    split: str | None = None

    def text_columns(self, target: str | None, task: str) -> TextColumns:
        """Return the function that selects the columns to read as they are written: the target, and those stated to be text.

        Args:
            target: The target; None for the last column.
            task: The task, `"auto"`, `"classification"` or `"regression"`.
        """
        stated = {name for name, kind in self.kinds.items() if kind in ("category", "text")}
        stated |= {name for name in (self.group, self.split) if name is not None}

        def select(names: Sequence[str]) -> Sequence[str]:
            label = [] if task == "regression" else [target or names[-1]]
            return [name for name in names if name in stated or name in label]

        return select


def make_table_options(
    column: ColumnOption = None,
    drop: DropOption = None,
    header: HeaderOption = None,
    missing: MissingOption = None,
    delimiter: DelimiterOption = None,
    decimal: DecimalOption = None,
    encoding: EncodingOption = None,
    group: GroupOption = None,
    time: TimeOption = None,
    split: SplitOption = None,
) -> TableOptions:
    """Return what the options say; its parameters are those of a command with `with_table_options`."""
    layout = TableFormat(delimiter=delimiter, decimal=decimal, encoding=encoding, header=header, missing=tuple(missing or ()))
    kinds = parse_kinds(column or (), drop or ())
    return TableOptions(format=layout, kinds=kinds, group=group, time=time, split=split)


def with_table_options(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command: in place of its parameter `table`, a `TableOptions`, it has the options of a table.

    Args:
        command: The command.
    """
    own, options = signature(command).parameters, signature(make_table_options).parameters

    @wraps(command)
    def run(**values: Any) -> None:
        table = make_table_options(**{name: values.pop(name) for name in options})
        command(table=table, **values)

    parameters = [p for name, one in own.items() for p in (options.values() if name == "table" else [one])]
    run.__signature__ = signature(command).replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def parse_kinds(columns: Sequence[str], drop: Sequence[str]) -> dict[str, str]:
    """Return the kinds that `--column` and `--drop` state.

    Args:
        columns: The values of `--column`, such as `"zip=category"`.
        drop: The values of `--drop`.

    Raises:
        ValueError: If a value has no kind, or an unknown one.

    Examples:
        >>> parse_kinds(["zip=category"], ["name"])
        {'zip': 'category', 'name': 'dropped'}
    """
    kinds = {}
    for value in columns:
        name, equals, kind = value.rpartition("=")
        if not equals or not name:
            raise ValueError(f"column must be NAME=KIND, such as zip=category, got {short(value)}")
        kinds[name] = choice(*FEATURES)("column", kind)
    return {**kinds, **dict.fromkeys(drop, "dropped")}
