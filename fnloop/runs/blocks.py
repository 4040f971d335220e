"""The chain of hashes over the rows of a run file, in blocks.

A block is 256 rows; the last one may have fewer. The chain of a block is the hash of its rows and of the chain of the block
before it. So opening a file checks the chain of the blocks, and a row is checked with its block when it is read.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from fnloop.core.encoding import sha256_of
from fnloop.runs.rows import Row, hashed_line

BLOCK_ROWS = 256


class Block(NamedTuple):
    """A block of rows.

    Attributes:
        number: Index of the block, from 0.
        rows: The number of its rows.
        digest: SHA-256 of its rows.
        chain: SHA-256 of the block and the chain of the block before.
    """

    number: int
    rows: int
    digest: str
    chain: str

    @property
    def first(self) -> int:
        """The position of its first row."""
        return self.number * BLOCK_ROWS

    @property
    def end(self) -> int:
        """The position after its last row."""
        return self.first + self.rows


def make_block(number: int, rows: int, digest: str, previous: str) -> Block:
    """Return a block with its chain, given the chain of the block before."""
    return Block(number, rows, digest, sha256_of(f"{previous} {number} {rows} {digest}"))


def check_blocks(blocks: Sequence[Block], previous: str) -> None:
    """Check that blocks follow one another, and that each has the right chain.

    Args:
        blocks: The blocks in order.
        previous: The chain of the block before the first.

    Raises:
        ValueError: If a block does not match.
    """
    for i, block in enumerate(blocks):
        number = blocks[0].number + i
        is_complete = block.rows == BLOCK_ROWS or (i == len(blocks) - 1 and 0 < block.rows < BLOCK_ROWS)
        if block != make_block(number, block.rows, block.digest, previous) or not is_complete:
            raise ValueError(f"block {number} of the states does not match the chain")
        previous = block.chain


def rows_digest(lines: Iterable[bytes]) -> str:
    """Return the SHA-256 of the hashed lines of rows."""
    hashed = hashlib.sha256()
    for line in lines:
        hashed.update(line)
    return hashed.hexdigest()


class BlockHasher:
    """Hashes rows as they are added, block by block.

    Args:
        previous: The chain of the last complete block, or the root of the chain.
        number: The index of the block of the next row.
        rows: The rows of that block which the file has already.
    """

    def __init__(self, previous: str, number: int = 0, rows: Sequence[Row] = ()) -> None:
        self._previous, self._number = previous, number
        self._hashed, self._rows = hashlib.sha256(), 0
        self._complete: list[Block] = []
        for row in rows:
            self.add(row.columns())

    def add(self, columns: Sequence[Any]) -> None:
        """Add the columns of the next row."""
        self._hashed.update(hashed_line(columns))
        self._rows += 1
        if self._rows == BLOCK_ROWS:
            block = self._current()
            self._complete.append(block)
            self._previous, self._number = block.chain, block.number + 1
            self._hashed, self._rows = hashlib.sha256(), 0

    def _current(self) -> Block:
        return make_block(self._number, self._rows, self._hashed.hexdigest(), self._previous)

    def changed(self) -> list[Block]:
        """Return the blocks that were completed since the last call, and the one in progress."""
        blocks = [*self._complete, *([self._current()] if self._rows else [])]
        self._complete = []
        return blocks

    @property
    def chain(self) -> str:
        """The chain of all rows so far."""
        return self._current().chain if self._rows else self._previous
