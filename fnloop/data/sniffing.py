"""Find how a file of a table is written from its first lines: encoding, delimiter, quotes, decimal mark and header."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Sequence

from fnloop.core.formatting import listed, short
from fnloop.core.records import frozen
from fnloop.data.number_text import parse_number
from fnloop.data.table_format import MISSING, TableFormat

CANDIDATES = "\t;|, "  # by precedence
SAMPLE_LINES = 200
MOST_CONTROLS = 0.02  # of the characters of a text: a table may have some
NOT_TABLE = "#", "sep="  # comments, and the line by which Excel states the delimiter
NOT_UTF8 = "it is not UTF-8, and is read as cp1252; --encoding overrules"
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SIGNATURES = {  # the first bytes of files that are not text
    b"PK\x03\x04": "a spreadsheet or an archive; save the table as CSV",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of Excel; save the table as CSV",
    b"PAR1": "Parquet; name it .parquet",
    b"\x1f\x8b": "a file compressed by gzip; name it .gz",
    b"SQLite format 3": "an SQLite database; save the table as CSV",
}
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
_DECIMAL_COMMA = re.compile(r"[-+]?(\d+,(\d{1,2}|\d{4,})|0,\d+)([eE][-+]?\d+)?$")  # 1,234 has a separator of thousands
_DECIMAL_POINT = re.compile(r"[-+]?\d*\.\d+([eE][-+]?\d+)?$")
_MARKED = {",": _DECIMAL_COMMA, ".": _DECIMAL_POINT}
_SINGLE_QUOTED = re.compile(r"(?:^|[,;\t|])'[^']*'(?=[,;\t|]|$)", re.MULTILINE)


@frozen
class Layout:
    """How a file is written.

    Args:
        encoding: The encoding.
        delimiter: The character between cells; `" "` for any white space.
        quote: The character around cells.
        decimal: The decimal mark.
        header: Whether the first line has the names of the columns.
        names: The names of the columns, all different.
        skipped: Number of lines before the first line of the table.
        notes: What the user should know about these guesses.
    """

    encoding: str
    delimiter: str
    quote: str
    decimal: str
    header: bool
    names: tuple[str, ...]
    skipped: int
    notes: tuple[str, ...] = ()


def find_layout(sample: bytes, given: TableFormat, *, complete: bool) -> Layout:
    """Return how a file is written.

    Args:
        sample: The first bytes of the file.
        given: What is known.
        complete: Whether the sample is the whole file.

    Raises:
        ValueError: If the sample has no line, or is not text.
    """
    text, encoding, notes = _decode(sample, given.encoding, complete)
    controls = _CONTROL.findall(text)
    if len(controls) > MOST_CONTROLS * len(text):
        raise ValueError(f"it must be text, got {len(controls):,} control characters, such as {short(controls[0])}")
    lines = list(io.StringIO(text, newline=""))  # splitlines() also splits at characters such as U+2028
    skipped = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith(NOT_TABLE)), 0)
    lines = lines[skipped:] if complete or len(lines) < skipped + 3 else lines[skipped:-1]
    if not "".join(lines).strip():
        raise ValueError("it must have a header and at least one row, got no line")
    quote = "'" if len(_SINGLE_QUOTED.findall("".join(lines[:SAMPLE_LINES]))) > len(lines[:SAMPLE_LINES]) // 2 else '"'
    delimiter = given.delimiter or _delimiter(lines, quote, given.decimal)
    before = _lines_before(lines[:SAMPLE_LINES], delimiter, quote)
    if before:
        count = "1 line before the table is" if before == 1 else f"{before} lines before the table are"
        notes += (f"{count} skipped: {short(lines[0].strip(), 60)}",)
        lines, skipped = lines[before:], skipped + before
    rows = cells_of(lines[:SAMPLE_LINES], delimiter, quote)
    decimal, decimal_notes = _decimal_mark(rows, delimiter, given)
    header = _has_header(rows, decimal) if given.header is None else given.header
    names, name_notes = _names(rows, header)
    if given.header is None:
        notes += _header_notes(rows[0], header, decimal)
    notes += (*decimal_notes, *name_notes)
    return Layout(encoding, delimiter, quote, decimal, header, names, skipped, notes)


def cells_of(lines: Sequence[str], delimiter: str, quote: str) -> list[list[str]]:
    """Return the cells of each line that is not empty.

    Args:
        lines: The lines.
        delimiter: The character between cells; `" "` for any white space.
        quote: The character around cells.
    """
    if delimiter == " ":
        lines = [" ".join(line.split()) for line in lines]
    reader = csv.reader(lines, delimiter=delimiter, quotechar=quote, skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in reader if row]


def _decode(sample: bytes, encoding: str | None, complete: bool) -> tuple[str, str, tuple[str, ...]]:
    for start, what in _SIGNATURES.items():
        if sample.startswith(start):
            raise ValueError(f"it must be text, got {what}")
    found = encoding or next((name for bom, name in _BOMS.items() if sample.startswith(bom)), "utf-8")
    if encoding is None and found != "utf-16" and b"\0" in sample:
        raise ValueError("it must be text, got a file with zero bytes; if it is UTF-16, state --encoding utf-16-le")
    try:
        return codecs.getincrementaldecoder(found)().decode(sample, final=complete), found, ()
    except UnicodeDecodeError as error:
        if encoding not in (None, "cp1252"):
            raise ValueError(f"encoding {encoding} does not fit byte {error.start} of the file; give another one") from None
    return sample.decode("cp1252", "replace"), "cp1252", (NOT_UTF8,)


def _delimiter(lines: Sequence[str], quote: str, decimal: str | None) -> str:
    """The candidate that gives the most consistent number of cells, more than one, preferably also in the first line."""
    best, best_score = ",", 0.8
    for candidate in CANDIDATES.replace(decimal or "\0", ""):
        counts = [len(row) for row in cells_of(lines[:SAMPLE_LINES], candidate, quote)]
        usual, frequency = Counter(counts[1:] or counts).most_common(1)[0]
        allowed = (usual, usual - 1) if candidate != " " or quote in lines[0] else (usual,)
        if usual < 2 or (candidate == " " and counts[0] not in allowed):
            continue
        score = frequency / len(counts[1:] or counts) + (counts[0] in allowed) + (counts[0] == usual)
        if score > best_score + 0.02:
            best, best_score = candidate, score
    return best


def _usual_width(rows: Sequence[Sequence[str]]) -> int:
    return Counter(len(row) for row in rows[1:] or rows).most_common(1)[0][0]


def _lines_before(lines: Sequence[str], delimiter: str, quote: str) -> int:
    """The number of lines before the table, such as a title: those with fewer cells."""
    rows = cells_of(lines, delimiter, quote)
    fewest = _usual_width(rows) - 1  # R writes one name fewer than there are columns
    if len(rows[0]) >= fewest:
        return 0
    counts = (len(cells_of([line], delimiter, quote)[0]) if line.strip() else 0 for line in lines)
    return next((i for i, count in enumerate(counts) if count >= fewest), 0)


def _decimal_mark(rows: Sequence[Sequence[str]], delimiter: str, given: TableFormat) -> tuple[str, tuple[str, ...]]:
    """The decimal mark that is stated, usual or found, and a note if the numbers look as if they had the other one."""
    found = _decimal(rows, delimiter)
    decimal = given.decimal or given.usual_decimal or found
    if decimal == delimiter:  # numbers with decimal commas are quoted, if there are any
        return ".", ()
    if given.decimal or decimal == found or not any(_MARKED[found].match(cell) for row in rows for cell in row):
        return decimal, ()
    marks = {",": "commas", ".": "points"}
    return decimal, (
        f"numbers seem to have decimal {marks[found]}, and are read with decimal {marks[decimal]}, as in training; "
        f"--decimal {found} overrules",
    )


def _decimal(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    if delimiter == ",":
        return "."
    cells = [cell for row in rows for cell in row]
    commas = sum(_DECIMAL_COMMA.match(cell) is not None for cell in cells)
    points = sum(_DECIMAL_POINT.match(cell) is not None for cell in cells)
    return "," if commas > points else "."


def _has_header(rows: Sequence[Sequence[str]], decimal: str) -> bool:
    """Whether the first line has names: text above numbers, or no number and no text that occurs again below."""
    first, rest = rows[0], rows[1:]
    if not rest:
        return not any(_is_number(cell, decimal) for cell in first)
    if not first[0] and all(first[1:]) and all(row[0] not in MISSING for row in rest):
        return True  # the names of R's row names
    has_number = repeated = False
    for i, cell in enumerate(first):
        below = [row[i] for row in rest if i < len(row) and row[i] not in MISSING]
        numbers = sum(_is_number(other, decimal) for other in below)
        if cell and below and not _is_number(cell, decimal) and cell not in MISSING and numbers > 0.8 * len(below):
            return True
        has_number |= _is_number(cell, decimal) and numbers > 0.5 * len(below)
        repeated |= bool(cell) and cell in below
    return not (has_number or repeated)


def _is_number(cell: str, decimal: str) -> bool:
    return parse_number(cell, decimal) is not None


def _header_notes(first: Sequence[str], header: bool, decimal: str) -> tuple[str, ...]:
    if not header:
        return (f"the first line, {short(', '.join(first), 60)}, is taken for data, not for names; --header overrules",)
    if any(_is_number(cell, decimal) for cell in first):
        return (f"the first line, {short(', '.join(first), 60)}, is taken for names; --no-header overrules",)
    return ()


def _names(rows: Sequence[Sequence[str]], header: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    width = _usual_width(rows)
    if not header:
        return tuple(f"x{i}" for i in range(max(width, len(rows[0])))), ()
    first = list(rows[0])
    if len(first) == width - 1 and all(len(row) < width or not row[-1] for row in rows[1:]):
        first.append("")  # a delimiter at the end of each line
    elif len(first) == width - 1:
        first = ["", *first]  # R leaves out the name of the row names
    elif len(first) == width + 1 and not first[-1]:
        first.pop()  # a delimiter at the end of the header
    names: list[str] = []
    for i, cell in enumerate(first):
        name, copies = cell or f"column {i + 1}", 1
        while name in names or (copies > 1 and name in first):
            copies += 1
            name = f"{cell or f'column {i + 1}'} ({copies})"
        names.append(name)
    repeated = [cell for cell, count in Counter(first).items() if count > 1 and cell]
    notes = (f"columns of the same name are numbered: {listed(repeated)}",) if repeated else ()
    return tuple(names), notes
