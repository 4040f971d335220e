"""Connections to a run file: its maker's, its one writer's, and its readers', who trust nothing."""

import os
import sqlite3
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from fnloop.core.arrays import Array
from fnloop.core.errors import FnloopError, RunError
from fnloop.core.formatting import short
from fnloop.runs.codec import UnknownRecord
from fnloop.runs.files import partial_of
from fnloop.runs.store import APPLICATION, TABLES, VERSION, VIEW, Row, add_row, add_snapshot, root

Place = Callable[[Path, Path], None]
_DAMAGE = (
    sqlite3.Error,
    struct.error,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    MemoryError,
    ArithmeticError,
    RecursionError,
)


def create(
    path: Path, info: Mapping[str, str], arrays: Mapping[str, Array], first: Row, content: str, place: Place = os.link
) -> None:
    """Make the file, with the first state in it: it is there whole, or not at all.

    Args:
        place: Called with the complete file and the path, gives it its name; by default it never takes another's place.

    Raises:
        FileExistsError: If there is something at the path.
        OSError: If it cannot be written.
        RunError: If SQLite cannot write it.
    """
    partial = partial_of(path)
    try:
        with writing(path), closing(sqlite3.connect(_plain(partial), isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=MEMORY")  # until it has its name, nobody misses it
            connection.execute(f"PRAGMA application_id={APPLICATION}")
            connection.execute(f"PRAGMA user_version={VERSION}")
            connection.execute("BEGIN")
            for table in TABLES:
                connection.execute(table)
            connection.executemany("INSERT INTO run VALUES (?, ?)", info.items())
            connection.execute("INSERT INTO head VALUES (-1, ?)", [root(info)])
            add_row(connection, first.chained(root(info)))
            add_snapshot(connection, first.position, content, arrays)
            connection.execute("COMMIT")
        place(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads what is committed, also while another writes, and trusts nothing.

    Raises: OSError: if there is no such file, or none that may be read; RunError: if it is a folder, a pipe or a device, and
        as in `distrusting`.
    """
    if not path.exists():
        raise FileNotFoundError(f"no such file: {short(str(path))}")
    if not path.is_file():
        raise RunError(f"a run must be a regular file, which {short(str(path))} is not")
    path.open("rb").close()  # what may not be read is no damage
    with distrusting(path), closing(_connect(path)) as connection:
        connection.execute("BEGIN")
        yield connection


@contextmanager
def distrusting(path: Path) -> Iterator[None]:
    """All that is found not to be as it was written is an error that says so.

    Raises: RunError.
    """
    try:
        yield
    except FnloopError:
        raise
    except UnknownRecord as error:
        raise RunError(f"{short(str(path))} {error}") from error
    except _DAMAGE as error:
        raise RunError(f"{short(str(path))} is not a run of fnloop, or is damaged: {error or type(error).__name__}") from error


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return _checked(path, "mode=ro")
    except sqlite3.OperationalError:
        if os.path.exists(f"{path}-wal") or os.access(path.parent, os.W_OK):
            raise
        return _checked(path, "mode=ro&immutable=1")  # in a folder that cannot be written a file that nobody writes


def _plain(path: Path) -> str:
    """The path so that SQLite reads nothing into it, such as `:memory:` or a host behind two slashes."""
    return f"/{os.path.abspath(path).lstrip('/')}" if os.name == "posix" else os.path.abspath(path)


def _checked(path: Path, mode: str) -> sqlite3.Connection:
    """A connection to what is a run file by its marks and its tables."""
    connection = sqlite3.connect(f"file:{quote(_plain(path))}?{mode}", uri=True, isolation_level=None)
    try:
        size = sum(os.path.getsize(part) for part in (path, f"{path}-wal") if os.path.exists(part))
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(size, 1 << 16))
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "query_only=ON"):
            connection.execute(f"PRAGMA {pragma}")
        check_marks(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def check_marks(connection: sqlite3.Connection) -> None:
    """Refuse what is no run file, is of a newer version, or has other tables.

    Raises: ValueError, sqlite3.Error.
    """
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise ValueError("it has not the mark of one")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise ValueError(f"it was written by a newer version of fnloop (schema {version}, known is {VERSION})")
    found = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    views = [sql for kind, name, sql in found if (kind, name) == ("view", "metrics") and sql.startswith(VIEW)]
    if sorted(sql for *_, sql in found) != sorted([*TABLES, *views]) or len(views) > 1:
        raise ValueError("its tables are not those of a run")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What SQLite cannot write is an error that says where.

    Raises: RunError.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise RunError(f"{short(str(path))} cannot be written: {error}") from error


def open_to_write(path: Path) -> sqlite3.Connection:
    """A connection for the one writer of a file, which readers can read beside.

    Raises: RunError: if it cannot be written.
    """
    with writing(path):
        connection = sqlite3.connect(_plain(path), isolation_level=None, check_same_thread=False)
        try:
            connection.execute(_NO_JOURNAL)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            connection.close()
            raise
    return connection


def close_writer(connection: sqlite3.Connection) -> None:
    """Leave one file, where no reader holds on to the others."""
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute(_NO_JOURNAL)
    connection.close()


# The marks of WAL mode are set and taken away by one write to the file's first sector. With a rollback journal beside it, a
# writer that was killed between the two would leave a file that readers, who must not write, could not open.
_NO_JOURNAL = "PRAGMA journal_mode=MEMORY"
