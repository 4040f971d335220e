"""A run file is checked without the package, by what docs/run-file.md says."""

import hashlib
import json
import sqlite3
import zlib
from contextlib import closing

import pytest

import fnloop as fl
from tests.replay.support import everything, problem, record_tiny


def sha256(content):
    return hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()


def row_text(position, epoch, step, seconds, stopped, metrics, environment, fields, digest):
    reason = "" if stopped is None else json.dumps(stopped)
    return f"{position} {epoch} {step} {seconds!r} {digest} {fields.hex()} {reason}\n{metrics}\n{environment or ''}\n"


def check_rows(connection):
    """Check the manifest and all blocks of rows."""
    chain = sha256(json.dumps(sorted(connection.execute("SELECT name, value FROM run").fetchall())))
    rows = connection.execute("SELECT * FROM states ORDER BY position").fetchall()
    for number, count, digest, recorded in connection.execute("SELECT * FROM blocks ORDER BY number"):
        assert digest == sha256("".join(row_text(*row) for row in rows[256 * number :][:count]))
        chain = sha256(f"{chain} {number} {count} {digest}")
        assert chain == recorded
    assert connection.execute("SELECT position, chain FROM head").fetchall() == [(len(rows) - 1, chain)]


def check_contents(connection):
    """Check all texts and arrays, and the checksums of fields."""
    states = "SELECT content, digest, fields FROM snapshots JOIN states USING (position)"
    for content, digest, fields in connection.execute(states):
        assert sha256(content) == digest
        texts = [json.dumps(part, separators=(",", ":")) for name, part in json.loads(content).items() if name != "@"]
        assert [int.from_bytes(fields[i : i + 4]) for i in range(0, len(fields), 4)] == [zlib.crc32(t.encode()) for t in texts]
    for content, name in connection.execute("SELECT content, hash FROM records"):
        assert sha256(content) == name
    arrays = {}
    for name, dtype, shape, data in connection.execute("SELECT hash, dtype, shape, data FROM arrays ORDER BY part"):
        head = f"{dtype} {tuple(json.loads(shape))}\0".encode()
        arrays[name] = arrays.get(name, head) + data
    assert arrays
    assert all(sha256(content) == name for name, content in arrays.items())


@pytest.mark.parametrize("kind", ["everything", "stopped", "long"])
def test_a_file_is_checked_by_what_its_documentation_says(tmp_path, kind):
    """With every kind of field, with a row that stopped, and with more than a block of rows."""
    path = tmp_path / "a.run"
    if kind == "everything":
        fl.fit(everything(), *problem(), epochs=3, record=path, progress=False)
    elif kind == "stopped":
        record_tiny(path, 9, early_stopping=fl.EarlyStopping("val_loss", patience=1, min_delta=10.0))
        assert fl.open_run(path).rows[-1].stopped
    else:
        record_tiny(path, 300)
    with closing(sqlite3.connect(path)) as connection:
        check_rows(connection)
        check_contents(connection)
