"""The rows of a run file as a sequence that is read, and checked, block by block."""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import overload

from fnloop.core.errors import RunError
from fnloop.core.formatting import short
from fnloop.runs.blocks import BLOCK_ROWS, Block
from fnloop.runs.connection import reading
from fnloop.runs.rows import Row, root_hash
from fnloop.runs.store import read_manifest, read_rows

BLOCKS_AT_ONCE = 16  # that are read when the rows are iterated
CACHED_BLOCKS = 32


@contextmanager
def reading_run(path: Path, root: str) -> Iterator[sqlite3.Connection]:
    """Yield a connection to the file of a known run.

    Args:
        path: The run file.
        root: The hash of the manifest of the run.

    Raises:
        OSError: As in `reading`.
        RunError: As in `reading`, or if what is read does not match because another run has replaced the file.
    """
    with reading(path) as connection:
        try:
            yield connection
        except ValueError:
            check_root(connection, path, root)
            raise


def check_root(connection: sqlite3.Connection, path: Path, root: str) -> None:
    """Check that a file is that of a known run.

    Args:
        connection: The run file.
        path: Its path.
        root: The hash of the manifest of the run.

    Raises:
        RunError: If another run has replaced it.
    """
    if root_hash(read_manifest(connection)) != root:
        raise RunError(f"{short(str(path))} is another run than when it was opened: open it again")


class Rows(Sequence[Row]):
    """The rows that a run file had at some time.

    Args:
        path: The run file.
        root: The hash of the manifest of the run.
        blocks: The blocks of the rows.
        earlier: The rows at an earlier time, whose cache is kept.
    """

    def __init__(self, path: Path, root: str, blocks: Sequence[Block], earlier: "Rows | None" = None) -> None:
        self._path, self._root, self.blocks = path, root, blocks
        self._cached: OrderedDict[int, list[Row]] = OrderedDict()  # rows by the number of their block
        if earlier is not None:
            known = zip(earlier.blocks, blocks, strict=False)
            kept = {block.number for old, block in known if old == block}
            self._cached.update((number, rows) for number, rows in tuple(earlier._cached.items()) if number in kept)

    def __len__(self) -> int:
        return self.blocks[-1].end

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        positions = range(len(self))[index]
        if isinstance(positions, int):
            return self._block(positions // BLOCK_ROWS)[positions % BLOCK_ROWS]
        if not positions:
            return []
        first = min(positions) // BLOCK_ROWS
        rows = [row for block in self._spans(first, max(positions) // BLOCK_ROWS) for row in block]
        return [rows[position - first * BLOCK_ROWS] for position in positions]

    def __iter__(self) -> Iterator[Row]:
        for block in self._spans(0, len(self.blocks) - 1):
            yield from block

    def __reversed__(self) -> Iterator[Row]:
        for block in reversed(self.blocks):
            yield from reversed(self._block(block.number))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} rows of {self._path.name}>"

    def _spans(self, first: int, last: int) -> Iterator[list[Row]]:
        """Yield the rows of the blocks from one number to another, block by block."""
        number = first
        while number <= last:
            cached = self._cached.get(number)
            if cached is not None:
                yield cached
                number += 1
                continue
            blocks = self.blocks[number : min(last + 1, number + BLOCKS_AT_ONCE)]
            with reading_run(self._path, self._root) as connection:
                rows = read_rows(connection, blocks)
            yield rows
            number += len(blocks)

    def _block(self, number: int) -> list[Row]:
        rows = self._cached.get(number)
        if rows is None:
            with reading_run(self._path, self._root) as connection:
                rows = read_rows(connection, self.blocks[number : number + 1])
            self._cached[number] = rows
            while len(self._cached) > CACHED_BLOCKS:
                self._cached.popitem(last=False)
        return rows
