"""A run file is recognised by its marks and its tables."""

import sqlite3
from contextlib import closing

import pytest

import fnloop as fl
from tests.replay.support import record_tiny

MARKS, ENTRY = "PRAGMA user_version=2", "UPDATE run SET value = '2' WHERE name = 'format'"
NEWER, UNCLEAR = (
    r"a\.run' is of format 2, and fnloop \S+ reads format 1: update fnloop$",
    "damaged: its marks are those of format",
)


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        ([MARKS, ENTRY], NEWER),
        ([MARKS, ENTRY, "ALTER TABLE head ADD COLUMN more"], NEWER),
        ([MARKS, "DROP TABLE run"], NEWER),
        (["PRAGMA user_version=0", "PRAGMA application_id=0", ENTRY], NEWER),
        ([MARKS], UNCLEAR),
        ([ENTRY], UNCLEAR),
    ],
    ids=["both", "tables", "no entry", "no marks", "marks", "entry"],
)
def test_a_file_of_a_newer_format_is_not_called_damaged(tmp_path, statements, message):
    """Only if its marks and its table agree: a flipped bit of one of them is damage."""
    record_tiny(tmp_path / "a.run", 1)
    with closing(sqlite3.connect(tmp_path / "a.run", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    with pytest.raises(fl.RunError, match=message):
        fl.open_run(tmp_path / "a.run")
