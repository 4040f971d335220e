"""Tables from files: read by pandas, with the layout that was found or stated, whole or in chunks."""

import codecs
import csv
import io
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from fnloop.core.records import evolve
from fnloop.data.builtin_tables import DATASET_NAMES, builtin_table
from fnloop.data.cells import LARGEST_EXACT
from fnloop.data.formats import READERS
from fnloop.data.sniffing import NOT_UTF8, Layout, find_layout
from fnloop.data.streams import SAMPLE_BYTES, Resumed, check_path, file_kind, open_bytes
from fnloop.data.table_format import MISSING, TableFormat

Place = Callable[[int], str]  # where a row of a frame is, for messages: "line 17"
TextColumns = Callable[[Sequence[str]], Sequence[str]]  # of all names, those whose cells are kept as they are written
SCAN_BYTES = 1 << 22
NO_ROW = "it must have a header and at least one row, got no row"


class TableFile(NamedTuple):
    """A table that was read.

    Args:
        frame: The pandas frame.
        place: Where a row is in the file, for messages.
        layout: How the file is written; None if it is not text.
        notes: What the user should know about how it was read.
        target: The target of a dataset or of arrays, which is their last column; None if there is none.
        given: What was stated about the layout.
    """

    frame: Any
    place: Place
    layout: Layout | None = None
    notes: tuple[str, ...] = ()
    target: str | None = None
    given: TableFormat = TableFormat()

    @property
    def format(self) -> TableFormat:
        """How to read other files of the same kind: as was stated, with or without a header, and with this decimal mark."""
        if self.layout is None:
            return self.given
        return evolve(self.given, decimal=None, usual_decimal=self.layout.decimal, header=self.layout.header)


def no_text(names: Sequence[str]) -> Sequence[str]:
    """Return (): no column is kept as text."""
    return ()


def read_table(path: str, given: TableFormat | None = None, text_columns: TextColumns = no_text) -> TableFile:
    """Return the table of a file or of a built-in dataset.

    A column of numbers is read as numbers, any other as text. Codes with leading zeros, such as 00501, stay text.

    Args:
        path: Path of a CSV or TSV file, of Parquet (`.parquet`), JSON Lines (`.jsonl`) or arrays (`.npz` with `x` and,
            optionally, `y`), `-` for CSV from standard input, or one of `DATASET_NAMES`. A file of that name has precedence.
        given: What is known of the layout.
        text_columns: Returns, of all columns' names, those to read as text.

    Raises:
        OSError: If the file does not exist or cannot be read.
        ValueError: If the file is not such a table. The message has the line.
    """
    given = given or TableFormat()
    if path in DATASET_NAMES and not os.path.exists(path):
        return TableFile(builtin_table(path), _row, target="target")
    check_path(path)
    try:
        kind = file_kind(path)
        if kind in READERS:
            frame = READERS[kind](path)
            table = TableFile(frame, _row, target="target" if kind == ".npz" and "target" in frame else None)
        else:
            table = _read_text(path, given, text_columns)
    except MemoryError:
        raise
    except Exception as error:
        raise _named(error, path) from None
    if not len(table.frame):
        raise ValueError(f"{path}: {NO_ROW}")
    return table


def read_chunks(path: str, given: TableFormat, text_columns: TextColumns, rows: int) -> Iterator[TableFile]:
    """Yield the table of a file in chunks of rows, in constant memory if it is text.

    Args:
        path: The file, as for `read_table`.
        given: What is known of the layout.
        text_columns: Returns, of all columns' names, those to read as text.
        rows: The number of rows in a chunk.

    Raises:
        OSError: If the file does not exist or cannot be read.
        ValueError: If the file is not a table. The message has the line.
    """
    if file_kind(path) in READERS or (path in DATASET_NAMES and not os.path.exists(path)):
        table = read_table(path, given, text_columns)
        for start in range(0, len(table.frame), rows):
            yield table._replace(frame=table.frame.iloc[start : start + rows])
        return
    check_path(path)
    with open_bytes(path) as file:
        try:
            sample = _sample(file)
            layout = find_layout(sample, given, complete=len(sample) < SAMPLE_BYTES)
            if given.encoding is None and layout.encoding == "utf-8" and path != "-" and not _is_utf8(path):
                layout = find_layout(sample, evolve(given, encoding="cp1252"), complete=len(sample) < SAMPLE_BYTES)
                layout = evolve(layout, notes=(NOT_UTF8, *layout.notes))
            stream = io.BufferedReader(Resumed(sample, file), 1 << 16)  # type: ignore[type-var]
            for frame in _pandas_csv(stream, layout, given, text_columns(layout.names), chunksize=rows):
                if not len(frame):
                    raise ValueError(NO_ROW)
                yield TableFile(frame, _place(path, layout), layout, layout.notes)
        except Exception as error:
            raise _named(error, path) from None


def _is_utf8(path: str) -> bool:
    """Whether the whole of a file is UTF-8; its first bytes do not tell, and its rows are written as they are read."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open_bytes(path) as file:
        try:
            while block := file.read(SCAN_BYTES):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _sample(file: BinaryIO) -> bytes:
    parts = b""
    while len(parts) < SAMPLE_BYTES and (part := file.read(SAMPLE_BYTES - len(parts))):
        parts += part
    return parts


def _read_text(path: str, given: TableFormat, text_columns: TextColumns) -> TableFile:
    file: BinaryIO = io.BytesIO(open_bytes(path).read()) if path == "-" else open_bytes(path)
    with file:
        try:
            return _read_open(file, path, given, text_columns)
        except UnicodeDecodeError:
            if given.encoding is not None:
                raise
        file.seek(0)
        table = _read_open(file, path, evolve(given, encoding="cp1252"), text_columns)
        return table._replace(notes=(NOT_UTF8, *table.notes), given=given)


def _read_open(file: BinaryIO, path: str, given: TableFormat, text_columns: TextColumns) -> TableFile:
    sample = _sample(file)
    layout = find_layout(sample, given, complete=len(sample) < SAMPLE_BYTES)
    texts = list(text_columns(layout.names))
    file.seek(0)
    try:
        frame = _pandas_csv(file, layout, given, texts)
    except Warning:
        number, cells = next((i, len(row)) for i, row in _numbered(file, layout) if len(row) > len(layout.names))
        raise ValueError(f"line {number} must have {len(layout.names)} cells, like the header, got {cells}") from None
    again = [name for name in frame.columns if name not in texts and (_may_be_codes(frame[name]) or _is_bool(frame[name]))]
    sure = [name for name in again if _is_bool(frame[name]) or _is_rounded(frame[name])]
    if sure or (again and _has_leading_zeros(file, layout)):
        file.seek(0)
        as_text = _pandas_csv(file, layout, given, again, again)
        for name in again:
            if _is_bool(frame[name]) or as_text[name].str.match(r"[-+]?0\d").any() or _are_long(frame[name], as_text[name]):
                frame[name] = as_text[name]
    notes = (*layout.notes, *_short_lines(file, layout, frame))
    return TableFile(frame, _place(path, layout), layout, notes, given=given)


def _may_be_codes(series: Any) -> bool:
    """Whether pandas has read whole numbers, which may have lost leading zeros; they are floats with missing cells."""
    if series.dtype.kind != "f":
        return bool(series.dtype.kind == "i")
    if not (series.isna().any() or _is_rounded(series)):
        return False
    present = series[np.isfinite(series)]
    return bool(len(present)) and bool((present == np.floor(present)).all())


def _is_rounded(series: Any) -> bool:
    """Whether pandas has read floats, which cannot represent all integers of their size."""
    return bool(series.dtype.kind == "f" and series.abs().max() > LARGEST_EXACT)


def _are_long(series: Any, as_text: Any) -> bool:
    """Whether a column of floats is written as integers, of which some are rounded."""
    return _is_rounded(series) and bool(as_text.dropna().str.fullmatch(r"[-+]?\d+").all())


def _is_bool(series: Any) -> bool:
    import pandas

    mixed = series.dtype == object and pandas.api.types.infer_dtype(series) == "boolean"  # with missing cells
    return bool(mixed or series.dtype.kind == "b")


def _pandas_csv(
    file: Any,
    layout: Layout,
    given: TableFormat,
    texts: Sequence[str],
    columns: Sequence[str] | None = None,
    **options: Any,
) -> Any:
    import pandas

    with warnings.catch_warnings():
        warnings.simplefilter("error", pandas.errors.ParserWarning)  # a line with too many cells
        return pandas.read_csv(file, **_arguments(layout, given, texts, columns), **options)


def _arguments(layout: Layout, given: TableFormat, texts: Sequence[str], columns: Sequence[str] | None) -> dict[str, Any]:
    return {
        "sep": r"\s+" if layout.delimiter == " " else layout.delimiter,
        "quotechar": layout.quote,
        "skipinitialspace": True,
        "skiprows": layout.skipped,
        "header": 0 if layout.header else None,
        "names": list(layout.names),
        "usecols": None if columns is None else list(columns),
        "dtype": dict.fromkeys(texts, str),
        "decimal": layout.decimal,
        "encoding": layout.encoding,
        "encoding_errors": "replace" if layout.encoding == "cp1252" else "strict",
        "keep_default_na": False,
        "na_values": [*MISSING, *given.missing],
        "low_memory": False,
        "index_col": False,
    }


def _has_leading_zeros(file: BinaryIO, layout: Layout) -> bool:
    """Whether a cell may begin with a zero and another digit."""
    if layout.encoding.startswith("utf-16"):
        return True
    file.seek(0)
    before = np.zeros(256, bool)
    before[[ord(character) for character in f"{layout.delimiter}{layout.quote}\n\r -+" if ord(character) < 256]] = True
    tail = b"\n"
    while block := file.read(SCAN_BYTES):
        codes = np.frombuffer(tail + block, np.uint8)
        found = codes[1:-1] == ord("0")
        found &= (codes[2:] - ord("0")) < 10  # unsigned, so that smaller codes are large
        if found.any() and before[codes[:-2][found]].any():
            return True
        tail = (tail + block)[-2:]
    return False


def _short_lines(file: BinaryIO, layout: Layout, frame: Any) -> tuple[str, ...]:
    """A note about lines with fewer cells than the header, which pandas fills; only where the last cell is missing."""
    if not frame[frame.columns[-1]].isna().any():
        return ()
    lines = [(number, len(row)) for number, row in _numbered(file, layout) if len(row) < len(layout.names)]
    if not lines:
        return ()
    number, count = lines[0]
    more = f" (and {len(lines) - 1} more)" if lines[1:] else ""
    return (f"line {number}{more} has {count} of {len(layout.names)} cells; the others are missing",)


def _numbered(file: BinaryIO, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """The rows of a file with the numbers of their first lines."""
    file.seek(0)
    text = io.TextIOWrapper(file, encoding=layout.encoding, errors="replace", newline="")
    try:
        lines: Iterator[str] = islice(text, layout.skipped, None)
        if layout.delimiter == " ":
            lines = (" ".join(line.split()) for line in lines)
        reader = csv.reader(lines, delimiter=layout.delimiter, quotechar=layout.quote, skipinitialspace=True)
        for i, (start, cells) in enumerate(_with_start(reader)):
            if i or not layout.header:
                yield start + layout.skipped, cells
    finally:
        text.detach()  # the file stays open


def _with_start(reader: Any) -> Iterator[tuple[int, list[str]]]:
    before = 0
    for cells in reader:
        if cells[1:] or (cells and cells[0].strip()):
            yield before + 1, cells
        before = reader.line_num


def _place(path: str, layout: Layout) -> Place:
    """Where each row of a file is; its lines are counted only when a message needs one."""

    def line(row: int) -> str:
        with open_bytes(path) as file:
            found = next(islice(_numbered(file, layout), row, None), None)
        return _row(row) if found is None else f"line {found[0]}"

    return _row if path == "-" else line


def _row(row: int) -> str:
    return f"row {row + 1}"


def _named(error: Exception, path: str) -> Exception:
    """The error with the path in its message; one of the operating system has it already."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return ValueError(f"{'standard input' if path == '-' else path}: {_reason(error)}")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"it is not all {error.encoding}: got byte {error.object[error.start]:#x}; state another --encoding"
    message = " ".join(str(error).split())
    match = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message)
    if match:
        return f"line {match[2]} must have {match[1]} cells, like the header, got {match[3]}"
    match = re.search(r"EOF inside string starting at row (\d+)", message)
    if match:
        return f"a quote that is opened near line {int(match[1]) + 1} is not closed"
    return message or type(error).__name__
