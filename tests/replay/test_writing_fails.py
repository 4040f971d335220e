"""When writing fails, at whichever write: a clear error where training is, and a file that still opens and is right."""

import os
import resource
import signal
import sqlite3
import tempfile
from pathlib import Path

import pytest
from toolz import take

import fnloop as fl
from fnloop.runs import writer
from tests.replay.ground import elsewhere, fingerprint, record_tiny, tiny

EPOCHS = 16
PAGE = 4096


def full_at_each_size(folder, resumed):
    """Record, or go on, where no file may be longer than a limit, for limits over all that are written."""
    writer.PAUSE = 0.001
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    reference = [fingerprint(state) for state in record_tiny(Path(folder) / "reference.run", EPOCHS)]
    found = []
    for limit in range(0, 80 * PAGE, PAGE if not resumed else 2 * PAGE):
        path = Path(folder) / f"{limit}.run"
        if resumed:
            record_tiny(path, 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            if resumed:
                fl.open_run(path).resume(epochs=EPOCHS, progress=False, snapshot_every=2)
            else:
                record_tiny(path, EPOCHS, snapshot_every=2)
            raised = None
        except (fl.RunError, OSError) as error:
            raised = [type(error).__name__, str(error)]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        found.append([limit, raised, *look(path, reference)])
    return found


def look(path, reference):
    """How many states a file has, whether they are the run's, and whether it can be gone on with; and what is beside it."""
    if not path.exists():
        return [0, True, [item.name for item in path.parent.glob(f".{path.name}*")]]
    run = fl.open_run(path)
    states = len(run.rows)
    right = [fingerprint(run.state(epoch)) for epoch in range(states)] == reference[:states]
    whole = fingerprint(run.resume(epochs=EPOCHS, progress=False).last) == reference[-1]
    return [states, right and whole and run.verify().ok, [item.name for item in path.parent.glob(f"*{path.name}?*")]]


@pytest.mark.parametrize("resumed", [False, True])
def test_a_disk_that_is_full_at_any_size(tmp_path, resumed):
    """Over every page of growth: the training says so, what was committed is right, and it can be gone on with."""
    found = elsewhere(full_at_each_size, str(tmp_path), resumed)
    for limit, raised, states, right, left in found:
        assert right, (limit, raised, states)
        assert raised is not None or states == EPOCHS + 1
        assert not left or states == EPOCHS + 1, left  # one that has them all is not written to again
        if raised is not None:
            assert raised[0] == "RunError"
            assert f"{limit}.run" in raised[1]
            assert any(word in raised[1] for word in ("disk", "full", "I/O")), raised
    assert found[0][1] is not None
    assert found[-1][1] is None
    assert sum(raised is not None for _, raised, *_ in found) > 2  # it was full at several places


class Failing(sqlite3.Connection):
    """A connection whose n-th statement that may write fails, and all behind it."""

    left = 10**9

    def execute(self, statement, *values):
        if not statement.startswith(("SELECT", "PRAGMA application_id", "PRAGMA user_version", "PRAGMA query_only")):
            Failing.left -= 1
            if Failing.left < 0:
                raise sqlite3.OperationalError("disk I/O error")
        return super().execute(statement, *values)


@pytest.mark.parametrize("what", ["record", "resume", "prune"])
def test_an_error_at_every_statement_in_turn(tmp_path, monkeypatch, what):
    """Whichever statement fails first, and all behind it: a RunError, and a file that is right or is not there."""
    monkeypatch.setattr(writer, "PAUSE", 0.001)
    reference = list(map(fingerprint, record_tiny(tmp_path / "reference.run", EPOCHS)))
    connect = sqlite3.connect
    number, failed = 0, True
    while failed:
        path, failed, said = tmp_path / f"{number}.run", False, ""
        if what != "record":
            record_tiny(path, 4, snapshot_every=1)
        with monkeypatch.context() as patched:
            patched.setattr(sqlite3, "connect", lambda place, **more: connect(place, factory=_kind(place), **more))
            Failing.left = number
            try:
                if what == "record":
                    record_tiny(path, 4, snapshot_every=2)
                elif what == "resume":
                    fl.open_run(path).resume(epochs=8, progress=False, snapshot_every=2)
                else:
                    fl.open_run(path).prune(1)
            except fl.RunError as error:
                failed, said = True, str(error)
        states, right, left = look(path, reference)
        assert right
        assert not left
        assert not failed or ("disk I/O error" in said and path.name in said), said
        assert failed or states == (9 if what == "resume" else 5)
        number += 1
    assert number > (20 if what == "record" else 7 if what == "resume" else 5)


def _kind(place):
    return sqlite3.Connection if "mode=ro" in str(place) else Failing


def test_what_is_raised_says_what_is_safe(tmp_path, monkeypatch):
    """The error in training names the file, the cause, and how many states it holds."""
    monkeypatch.setattr(writer, "PAUSE", 0.001)
    original = writer.add_row

    def failing(connection, row):
        if row.position == 5:
            raise sqlite3.OperationalError("database or disk is full")
        original(connection, row)

    monkeypatch.setattr(writer, "add_row", failing)
    trainer, train, validation = tiny()
    stream = fl.record(tmp_path / "a.run", trainer, train, validation)(take(10_000, fl.epochs(trainer, train, validation)))
    with pytest.raises(
        fl.RunError, match=r"recording to '.*a.run' failed: database or disk is full; it holds [1-5] states, up"
    ):
        fl.last(stream)  # it is raised as it goes on, not behind ten thousand epochs
    monkeypatch.undo()
    held = len(fl.open_run(tmp_path / "a.run").rows)
    assert 1 <= held <= 5
    assert fl.open_run(tmp_path / "a.run").verify().ok


def read_only():
    """What comes of a folder, and of a file, that may be read only; as another user where this one may write everywhere."""
    folder = Path(tempfile.mkdtemp())
    record_tiny(folder / "a.run", 3)  # also imports all that is imported where it is used
    fl.open_run(folder / "a.run").verify()
    (folder / "a.run").chmod(0o444)
    folder.chmod(0o555)
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    found = {}
    for name, what in (
        ("record", lambda: record_tiny(folder / "b.run", 3)),
        ("resume", lambda: fl.open_run(folder / "a.run").resume(epochs=6, progress=False)),
        ("prune", lambda: fl.open_run(folder / "a.run").prune(1)),
    ):
        try:
            what()
            found[name] = None
        except (fl.RunError, OSError) as error:
            found[name] = [type(error).__name__, str(error)]
    run = fl.open_run(folder / "a.run")
    return [found, run.verify().ok, len(run.rows), sorted(item.name for item in folder.iterdir())]


def test_a_place_that_is_read_only():
    """Nothing can be recorded or gone on with, which is said; what is there can be read."""
    found, verified, states, there = elsewhere(read_only)
    for error in found.values():
        assert error is not None
        assert error[0] in ("PermissionError", "RunError")
        assert ".run" in error[1]
    assert verified
    assert states == 4
    assert there == ["a.run"]


def read_only_file():
    """A file that is read only, in a folder that is not."""
    folder = Path(tempfile.mkdtemp())
    record_tiny(folder / "a.run", 3)
    fl.open_run(folder / "a.run").verify()
    (folder / "a.run").chmod(0o444)
    folder.chmod(0o777)
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    found = []
    for _ in range(2):  # the second is told the same: the first lets go
        try:
            fl.open_run(folder / "a.run").resume(epochs=6, progress=False)
        except fl.RunError as error:
            found.append(str(error))
    return found


def test_a_file_that_is_read_only():
    """It is not gone on with, each time for the same reason."""
    first, second = elsewhere(read_only_file)
    assert "cannot be written: attempt to write a readonly database" in first
    assert first == second
