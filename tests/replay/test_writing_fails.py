"""When writing fails, at whichever write: the training goes on with a warning, and the file still opens and is right.

Where the file is all that comes of it, as of `resume` and `prune`, and where it cannot be made, it is an error instead.
"""

import os
import re
import resource
import signal
import sqlite3
import tempfile
import warnings
from pathlib import Path

import pytest
from toolz import take

import fnloop as fl
from fnloop.runs import writer
from tests.replay.support import fingerprint, in_new_process, record_tiny, tiny

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
                raised = None
            else:
                states, raised = unrecorded(lambda path=path: record_tiny(path, EPOCHS, snapshot_every=2))
                assert [fingerprint(state) for state in states] == reference
        except (fl.RunError, OSError) as error:
            raised = [type(error).__name__, str(error)]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        found.append([limit, raised, *look(path, reference)])
    return found


def unrecorded(function):
    """What a function returns, and the warning that it gives."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        result = function()
    assert len(warned) <= 1
    return result, next(([item.category.__name__, str(item.message)] for item in warned), None)


def look(path, reference):
    """How many states a file has, whether they are the run's, and whether it can be gone on with; and what is beside it."""
    if not path.exists():
        return [0, True, [item.name for item in path.parent.glob(f".{path.name}*")]]
    run = fl.open_run(path)
    states = len(run.rows)
    right = [fingerprint(run.state(epoch)) for epoch in range(states)] == reference[:states]
    whole = fingerprint(run.resume(epochs=EPOCHS, progress=False).last) == reference[-1]
    return [states, right and whole and run.verify().ok, [item.name for item in path.parent.glob(f"*{path.name}?*")]]


@pytest.mark.thorough
@pytest.mark.parametrize("resumed", [False, True])
def test_a_disk_that_is_full_at_any_size(tmp_path, resumed):
    """Over every page of growth: it is said, every state is trained, what was committed is right and can be gone on with."""
    found = in_new_process(full_at_each_size, str(tmp_path), resumed)
    for limit, raised, states, right, left in found:
        assert right, (limit, raised, states)
        assert raised is not None or states == EPOCHS + 1
        assert not left or states == EPOCHS + 1, left  # one that has them all is not written to again
        if raised is not None:
            assert raised[0] == ("RecordingWarning" if states and not resumed else "RunError")
            assert states == 0 or f"it holds {states} state{'s' * (states > 1)}, up to epoch {states - 1}" in raised[1]
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


@pytest.mark.thorough
@pytest.mark.parametrize("what", ["record", "resume", "prune"])
def test_an_error_at_every_statement_in_turn(tmp_path, monkeypatch, what):
    """Whichever statement fails first, and all behind it: it is said once, and the file is right or is not there."""
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
                    recorded, warned = unrecorded(lambda path=path: record_tiny(path, 4, snapshot_every=2))
                    assert [fingerprint(state) for state in recorded] == reference[:5]
                    failed, said = warned is not None, "" if warned is None else warned[1]
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


@pytest.fixture
def full(monkeypatch):
    """A disk that is full before the row of epoch 5."""
    monkeypatch.setattr(writer, "PAUSE", 0.001)
    original = writer.add_row

    def failing(connection, row):
        if row.position == 5:
            raise sqlite3.OperationalError("database or disk is full")
        original(connection, row)

    monkeypatch.setattr(writer, "add_row", failing)


SAID = r"recording to '.*a.run' failed: database or disk is full; it holds [1-5] states?, up to epoch [0-4]"


@pytest.mark.usefixtures("full")
def test_what_is_said_says_what_is_safe(tmp_path):
    """The warning in training names the file, the cause, and how many states it holds, once; the stream keeps the error."""
    trainer, train, validation = tiny()
    stream = fl.record(tmp_path / "a.run", trainer, train, validation)(take(10_000, fl.epochs(trainer, train, validation)))
    assert stream.failure is None
    with pytest.warns(fl.RecordingWarning, match=f"{SAID}; training continues") as warned:
        state = next(state for state in stream if warned.list)
    assert state.epoch < 9_000  # it is said as it goes on, not after ten thousand epochs
    assert next(stream).epoch == state.epoch + 1
    assert re.match(SAID, str(stream.failure))
    stream.close()
    held = len(fl.open_run(tmp_path / "a.run").rows)
    assert 1 <= held <= 5
    assert f"it holds {held} state" in str(stream.failure)
    assert [path.name for path in tmp_path.iterdir()] == ["a.run"]


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("how", ["path", "record"])
def test_a_fit_keeps_the_model_and_says_that_it_is_not_recorded(tmp_path, how):
    """With the states that it would have had, and the reason in its summary."""
    trainer, train, validation = tiny()
    into = tmp_path / "a.run" if how == "path" else fl.record(tmp_path / "a.run", trainer, train, validation)
    with pytest.warns(fl.RecordingWarning, match=SAID):
        fit = fl.fit(trainer, train, validation, epochs=20, progress=False, record=into)
    whole = fl.fit(trainer, train, validation, epochs=20, progress=False)
    assert fl.same_bits((fit.best, fit.last), (whole.best, whole.last))
    assert re.match(SAID, fit.record_failure)
    assert fit.record_failure in fit.summary()
    assert whole.record_failure is None
    assert "recording" not in whole.summary()


@pytest.mark.usefixtures("full")
def test_who_wants_an_error_gets_one(tmp_path):
    """By Python's filter of warnings."""
    trainer, train, validation = tiny()
    with warnings.catch_warnings():
        warnings.simplefilter("error", fl.RecordingWarning)
        with pytest.raises(fl.RecordingWarning, match=SAID):
            fl.fit(trainer, train, validation, epochs=100, progress=False, record=tmp_path / "a.run")


@pytest.mark.usefixtures("full")
def test_a_run_that_goes_on_is_nothing_without_its_file(tmp_path):
    """So `resume` is refused at once."""
    record_tiny(tmp_path / "a.run", 2)
    with pytest.raises(fl.RunError, match=SAID):
        fl.open_run(tmp_path / "a.run").resume(epochs=10_000, progress=False)


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
    found, verified, states, there = in_new_process(read_only)
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
    first, second = in_new_process(read_only_file)
    assert "cannot be written: attempt to write a readonly database" in first
    assert first == second
