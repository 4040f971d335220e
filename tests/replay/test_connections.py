"""A run file with readers, on file systems without a log, and with what users add to it."""

import os
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from time import sleep

import pytest
from toolz import take

import fnloop as fl
from fnloop.runs import connection as connections
from fnloop.runs import writer
from fnloop.runs.connection import close_writer, open_to_write
from fnloop.runs.patience import PatientConnection
from tests.replay.support import fingerprint, record_tiny, start_process, tiny


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Commit often, and wait for readers for a short time."""
    monkeypatch.setattr(writer, "PAUSE", 0.001)
    monkeypatch.setattr(connections, "_CLOSING", 0.05)


@pytest.fixture(scope="module")
def reference():
    """The digests of the states of the recorded run."""
    trainer, *data = tiny()
    return list(map(fingerprint, take(13, fl.epochs(trainer, *data))))


def is_run_to(path, reference, epochs):
    run = fl.open_run(path)
    assert [fingerprint(run.state(epoch)) for epoch in range(len(run.rows))] == reference[: epochs + 1]
    assert run.verify().ok
    return True


def sql(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


class InTransaction:
    """A reader that stays in one transaction."""

    def __init__(self, path):
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)

    def __enter__(self):
        self._connection.execute("BEGIN")
        self._connection.execute("SELECT * FROM states").fetchone()

    def __exit__(self, *_):
        self._connection.close()


def add_user_table(path):
    """Write something while a reader is open, and return what closing says."""
    connection = open_to_write(path)
    with InTransaction(path):
        connection.execute("CREATE TABLE mine (x)")
        return close_writer(connection)


def test_a_writer_that_ends_before_a_reader_says_where_the_last_epochs_are(tmp_path, reference):
    """Both files together have them, and the next writer merges them."""
    path = tmp_path / "a.run"
    record_tiny(path, 5)
    text = add_user_table(path)
    assert f"the last epochs of '{path}' are in '{path}-wal', because another connection reads an earlier epoch" in text
    assert "both files belong together" in text
    assert "copy_to(other) makes one file of them" in text
    assert is_run_to(path, reference, 5)
    (tmp_path / "moved").mkdir()
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", tmp_path / "moved" / f"a.run{end}")
    assert is_run_to(tmp_path / "moved" / "a.run", reference, 5)
    assert fingerprint(fl.open_run(path).resume(epochs=8, progress=False).last) == reference[8]
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.run", "moved"]


def test_pruning_while_a_reader_is_open_warns(tmp_path, reference):
    """The run is in two files until the next writer ends; a copy is whole."""
    path = tmp_path / "a.run"
    record_tiny(path, 5, snapshot_every=1)
    assert add_user_table(path) is not None
    with InTransaction(path), pytest.warns(fl.RecordingWarning, match="both files belong together"):
        fl.open_run(path).prune(1)
    assert is_run_to(path, reference, 5)
    assert is_run_to(fl.open_run(path).copy_to(tmp_path / "b.run").path, reference, 5)
    assert not os.path.exists(tmp_path / "b.run-wal")
    fl.open_run(path).prune(1)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.run", "b.run"]


def test_a_reader_that_only_has_the_file_open_splits_nothing(tmp_path, reference):
    """Its connection, without a transaction, keeps an empty log at most."""
    path = tmp_path / "a.run"
    record_tiny(path, 2)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as connection:
        writing = open_to_write(path)
        connection.execute("SELECT * FROM states").fetchall()
        writing.execute("CREATE TABLE mine (x)")
        assert close_writer(writing) is None
        shutil.copy(path, tmp_path / "copy.run")
    with closing(sqlite3.connect(tmp_path / "copy.run")) as copy:
        assert copy.execute("SELECT * FROM mine").fetchall() == []
    assert is_run_to(path, reference, 2)


@pytest.fixture(params=["unknown", "no memory", "no file"])
def without_log(request, monkeypatch):
    """A file system where SQLite has no write-ahead log, or finds that only when it opens the log."""
    if request.param == "unknown":
        execute = PatientConnection.execute

        def answer(self, statement, *parameters):
            return execute(self, "SELECT 'delete'" if statement == "PRAGMA journal_mode=WAL" else statement, *parameters)

        monkeypatch.setattr(PatientConnection, "execute", answer)
        return lambda path: None
    return lambda path: os.mkdir(f"{path}-shm") if request.param == "no memory" else os.symlink("nowhere", f"{path}-shm")


def test_a_file_system_without_a_log(tmp_path, without_log, reference):
    """A run is recorded with a rollback journal, and read meanwhile."""
    path = tmp_path / "a.run"
    trainer, *data = tiny()
    without_log(path)
    states = fl.record(path, trainer, *data)(take(6, fl.epochs(trainer, *data)))
    for state in states:
        while state.epoch == 1 and not path.exists():
            sleep(0.001)
        if not state.epoch:
            continue
        run = fl.open_run(path)
        epoch = run.rows[-1].epoch
        assert fingerprint(run.state(epoch)) == reference[epoch]
    assert states.failure is None
    assert is_run_to(path, reference, 5)
    assert not os.path.exists(f"{path}-wal")
    fl.open_run(path).resume(epochs=7, progress=False).prune(1)
    assert is_run_to(path, reference, 7)


def be_killed_while_writing(path):
    """Be killed in a transaction with a rollback journal, some of whose pages are in the file."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA cache_size=1")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE states SET fields = fields || ?", ["x" * 20_000])
    connection.execute("CREATE TABLE mine AS SELECT * FROM states, states AS b")
    print("written", flush=True)
    sys.stdin.readline()


def test_a_rollback_journal_that_a_killed_writer_left(tmp_path, reference):
    """A reader undoes the half of a transaction."""
    path = tmp_path / "a.run"
    record_tiny(path, 5)
    process = start_process(be_killed_while_writing, str(path))
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert os.path.getsize(f"{path}-journal")
    assert is_run_to(path, reference, 5)
    assert not os.path.exists(f"{path}-journal")


ADDITIONS = {
    "statistics": ["ANALYZE"],
    "a view": ["CREATE VIEW losses AS SELECT epoch, metrics FROM states"],
    "a table": ["CREATE TABLE notes (epoch INTEGER, note TEXT)", "INSERT INTO notes VALUES (2, 'good')"],
    "a table that names our columns": ["CREATE TABLE tagged (position INTEGER REFERENCES states ON DELETE CASCADE)"],
    "an index": ["CREATE INDEX by_epoch ON states (epoch)"],
    "an index of a metric": ["CREATE INDEX by_loss ON states (json_extract(metrics, '$.loss'))"],
    "a trigger on another table": [
        "CREATE TABLE log (x)",
        "CREATE TRIGGER t AFTER INSERT ON log BEGIN DELETE FROM log; END",
    ],
    "a virtual table": ["CREATE VIRTUAL TABLE words USING fts5 (x)"],
    "the tables of Litestream": [
        "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)",
        "CREATE TABLE _litestream_lock (id INTEGER)",
    ],
    "a new file after VACUUM": ["VACUUM"],
    "an auto_vacuum file": ["PRAGMA auto_vacuum=FULL", "VACUUM"],
    "other pages": ["PRAGMA page_size=1024", "VACUUM"],
}


@pytest.mark.parametrize("name", ADDITIONS)
def test_what_users_add_is_left_alone(tmp_path, name, reference):
    """The run is read, resumed, pruned and copied as before; what was added stays."""
    path = tmp_path / "a.run"
    record_tiny(path, 4, snapshot_every=1)
    sql(path, *ADDITIONS[name])
    assert is_run_to(path, reference, 4)
    fl.open_run(path).resume(epochs=6, progress=False).prune(1)
    assert is_run_to(path, reference, 6)
    assert is_run_to(fl.open_run(path).copy_to(tmp_path / "b.run").path, reference, 6)
    with closing(sqlite3.connect(tmp_path / "b.run")) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    for statement in ADDITIONS[name]:
        words = statement.split()
        assert words[0] != "CREATE" or words[2 + (words[1] == "VIRTUAL")] in names


def test_a_trigger_on_a_table_of_the_run(tmp_path, reference):
    """It is not run when the run is read, and refused when it is written."""
    path = tmp_path / "a.run"
    record_tiny(path, 4)
    sql(path, "CREATE TRIGGER keep AFTER INSERT ON States BEGIN DELETE FROM states; END")
    assert is_run_to(path, reference, 4)
    for action in (lambda run: run.resume(epochs=6, progress=False), lambda run: run.prune(1)):
        with pytest.raises(fl.RunError, match=r"a.run' cannot be written while its tables have triggers: keep"):
            action(fl.open_run(path))
    sql(path, "DROP TRIGGER keep")
    fl.open_run(path).resume(epochs=6, progress=False)
    assert is_run_to(path, reference, 6)


OTHER_TABLES = {
    "a view": ["ALTER TABLE states RENAME TO s", "CREATE VIEW states AS SELECT * FROM s"],
    "another column": ["ALTER TABLE states ADD COLUMN more"],
    "a computed column": ["ALTER TABLE states ADD COLUMN more AS (1 + 1)"],
    "one column less": ["ALTER TABLE states DROP COLUMN stopped"],
    "another name": ["ALTER TABLE states RENAME COLUMN stopped TO ended"],
    "a virtual table": ["ALTER TABLE states RENAME TO s", "CREATE VIRTUAL TABLE states USING fts5 (position, epoch, step)"],
    "no table": ["DROP TABLE snapshots"],
    "another manifest": ["ALTER TABLE run ADD COLUMN more"],
}


@pytest.mark.parametrize("name", OTHER_TABLES)
def test_other_tables_are_not_those_of_a_run(tmp_path, name):
    """They are told by their columns."""
    path = tmp_path / "a.run"
    record_tiny(path, 2)
    sql(path, *OTHER_TABLES[name])
    with pytest.raises(fl.RunError, match="its tables are not those of a run"):
        fl.open_run(path)


@pytest.mark.parametrize("size", [2**31 - 1, 2**31, 2**31 + 4096, 5 * 2**30])
def test_a_file_of_two_gibibytes_and_more(tmp_path, size, reference):
    """It opens; the file has free space at its end, which takes no place on the disk."""
    path = tmp_path / "a.run"
    record_tiny(path, 3)
    os.truncate(path, size)
    assert is_run_to(path, reference, 3)
    os.truncate(path, 0)


def test_a_copy_replaces_nothing_and_leaves_nothing(tmp_path, reference):
    """Neither a file, nor a folder; a copy of what is no run, or into no folder, fails."""
    path = tmp_path / "a.run"
    record_tiny(path, 3)
    run, names = fl.open_run(path), sorted(os.listdir(tmp_path))
    for target, error, message in (
        (path, fl.RunError, "path must be a new file"),
        (tmp_path, fl.RunError, "path must be a new file"),
        (tmp_path / "nowhere" / "b.run", FileNotFoundError, "path must be a file in a folder that exists"),
        (tmp_path / ("x" * 300), OSError, "path must be shorter"),
        (5, TypeError, "path must be a file's path, got 5"),
    ):
        with pytest.raises(error, match=message):
            run.copy_to(target)
    path.write_bytes(b"no run\n" * 100)
    with pytest.raises(fl.RunError, match="is not a run of fnloop"):
        run.copy_to(tmp_path / "b.run")
    assert sorted(os.listdir(tmp_path)) == names


def test_a_live_run_is_copied(tmp_path, reference):
    """The copy has all epochs that were committed, in one file, and can be resumed."""
    path = tmp_path / "a.run"
    trainer, *data = tiny()
    states = fl.record(path, trainer, *data)(take(9, fl.epochs(trainer, *data)))
    for state in states:
        while state.epoch == 1 and not path.exists():
            sleep(0.001)
        if state.epoch in (2, 6):
            copied = fl.open_run(path).copy_to(tmp_path / f"{state.epoch}.run")
            assert is_run_to(copied.path, reference, copied.rows[-1].epoch)
            assert fingerprint(copied.resume(epochs=8, progress=False).last) == reference[8]
    assert is_run_to(path, reference, 8)
    assert sorted(os.listdir(tmp_path)) == ["2.run", "6.run", "a.run"]
