"""How a file of a table is written: what the user states about it, and what is found in it."""

import codecs
from typing import Any

from fnloop.core.formatting import short
from fnloop.core.records import frozen

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "null", "NULL", "?")  # in every column
DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " ", "bar": "|"}


@frozen
class TableFormat:
    r"""How the text of a table is written; None for what is to be found from its first lines.

    Args:
        delimiter: The character between cells: `","`, `";"`, `"\t"`, `"|"`, `" "` for any white space, or another one.
        decimal: The decimal mark, `"."` or `","`.
        encoding: The encoding, such as `"utf-8"`.
        header: Whether the first line has the names of the columns.
        missing: Texts of missing cells, in addition to those in `MISSING`.
        usual_decimal: The decimal mark of an earlier table of the same kind. It holds unless `decimal` is stated, or it is the
            delimiter; a note says if the numbers look otherwise.

    Raises:
        ValueError: If a value is not one of those. The message has the name and the value.
    """

    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    header: bool | None = None
    missing: tuple[str, ...] = ()
    usual_decimal: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.delimiter is not None:
            delimiter = DELIMITERS.get(self.delimiter, self.delimiter)
            if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\n\r':
                raise ValueError(
                    f"delimiter must be one character, or one of {', '.join(DELIMITERS)}, got {short(self.delimiter)}"
                )
            object.__setattr__(self, "delimiter", delimiter)
        for name, mark in (("decimal", self.decimal), ("usual_decimal", self.usual_decimal)):
            if mark not in (None, ".", ","):
                raise ValueError(f"{name} must be '.' or ',', got {short(mark)}")
        if self.decimal is not None and self.decimal == self.delimiter:
            raise ValueError(f"decimal must be another character than the delimiter, got {short(self.decimal)}")
        if self.encoding is not None:
            object.__setattr__(self, "encoding", _encoding(self.encoding))
        object.__setattr__(self, "missing", tuple(self.missing))

    def after(self, usual: "TableFormat") -> "TableFormat":
        """Return this format, with what it does not state from another one; texts of missing cells are those of both.

        Args:
            usual: The format of an earlier table of the same kind.
        """
        return TableFormat(
            delimiter=self.delimiter or usual.delimiter,
            decimal=self.decimal,
            encoding=self.encoding or usual.encoding,
            header=usual.header if self.header is None else self.header,
            missing=tuple(dict.fromkeys((*usual.missing, *self.missing))),
            usual_decimal=usual.usual_decimal,
        )


def _encoding(name: Any) -> str:
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except (LookupError, TypeError, ValueError):
        raise ValueError(f"encoding must be the name of a text encoding, such as utf-8, got {short(name)}") from None
