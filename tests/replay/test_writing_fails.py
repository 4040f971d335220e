"""If a write fails, whichever it is, training continues with a warning, and the file still opens and is correct.

`resume` and `prune`, whose only result is the file, raise an error instead, and so does a file that cannot be created.
"""

import os
import re
import resource
import signal
import sqlite3
import tempfile
import warnings
from functools import partial
from pathlib import Path

import pytest
from toolz import take

import fnloop as fl
from fnloop.runs import recorder, writer
from fnloop.runs.patience import PatientConnection
from tests.replay.support import fingerprint, in_new_process, record_tiny, tiny

EPOCHS = 16
PAGE = 4096


def full_at_each_size(folder, resumed):
    """Record, or resume, with a limit on the size of files, for each limit up to the size of the whole run."""
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
                states, raised = with_warning(lambda path=path: record_tiny(path, EPOCHS, snapshot_every=2))
                assert [fingerprint(state) for state in states] == reference
        except (fl.RunError, OSError) as error:
            raised = [type(error).__name__, str(error)]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        found.append([limit, raised, *inspect(path, reference)])
    return found


def with_warning(function):
    """Return the result of a function, and the category and message of its warning, or None."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        result = function()
    assert len(warned) <= 1
    return result, next(([item.category.__name__, str(item.message)] for item in warned), None)


def inspect(path, reference):
    """Return the number of states in a file, whether they and the resumed run are correct, and the names of leftover files."""
    if not path.exists():
        return [0, True, [item.name for item in path.parent.glob(f".{path.name}*")]]
    run = fl.open_run(path)
    states = len(run.rows)
    is_correct = [fingerprint(run.state(epoch)) for epoch in range(states)] == reference[:states]
    is_resumed = fingerprint(run.resume(epochs=EPOCHS, progress=False).last) == reference[-1]
    return [states, is_correct and is_resumed and run.verify().ok, [item.name for item in path.parent.glob(f"*{path.name}?*")]]


@pytest.mark.thorough
@pytest.mark.parametrize("resumed", [False, True])
def test_a_disk_that_is_full_at_any_size(tmp_path, resumed):
    """At every page of growth there is a warning, every state is trained, and the file is correct and can be resumed."""
    found = in_new_process(full_at_each_size, str(tmp_path), resumed)
    for limit, raised, states, is_correct, leftover in found:
        assert is_correct, (limit, raised, states)
        assert raised is not None or states == EPOCHS + 1
        assert not leftover or states == EPOCHS + 1, leftover  # a complete run is not written to again
        if raised is not None:
            assert raised[0] == ("RunError" if resumed else "RecordingWarning")
            held = f"it holds {states} state{'s' * (states > 1)}, up to epoch {states - 1}"
            in_two_files = states == EPOCHS + 1 and "both files belong together" in raised[1]
            assert states == 0 or held in raised[1] or in_two_files
            assert f"{limit}.run" in raised[1]
            assert any(word in raised[1] for word in ("disk", "full", "I/O")), raised
    assert found[0][1] is not None
    assert found[-1][1] is None
    assert sum(raised is not None for _, raised, *_ in found) > 2  # it was full at several sizes


class Failing(PatientConnection):
    """A connection whose n-th statement that may write fails, and all statements after it."""

    left = 10**9

    def execute(self, statement, *values):
        if not statement.startswith(("SELECT", "PRAGMA application_id", "PRAGMA user_version", "PRAGMA query_only")):
            Failing.left -= 1
            if Failing.left < 0:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR
                raise error
        return super().execute(statement, *values)


@pytest.mark.thorough
@pytest.mark.parametrize("action", ["record", "resume", "prune"])
def test_an_error_at_every_statement_in_turn(tmp_path, monkeypatch, action):
    """Whichever statement fails first, it is reported once, and the file is correct or was never created."""
    monkeypatch.setattr(writer, "PAUSE", 0.001)
    reference = list(map(fingerprint, record_tiny(tmp_path / "reference.run", EPOCHS)))
    connect = sqlite3.connect
    number, failed = 0, True
    while failed:
        path, failed, message = tmp_path / f"{number}.run", False, ""
        if action != "record":
            record_tiny(path, 4, snapshot_every=1)
        with monkeypatch.context() as patched:
            patched.setattr(sqlite3, "connect", partial(_connect, connect))
            Failing.left = number
            try:
                if action == "record":
                    recorded, warned = with_warning(lambda path=path: record_tiny(path, 4, snapshot_every=2))
                    assert [fingerprint(state) for state in recorded] == reference[:5]
                    failed, message = warned is not None, "" if warned is None else warned[1]
                elif action == "resume":
                    fl.open_run(path).resume(epochs=8, progress=False, snapshot_every=2)
                else:
                    fl.open_run(path).prune(1)
            except fl.RunError as error:
                failed, message = True, str(error)
        states, is_correct, leftover = inspect(path, reference)
        assert is_correct
        assert not leftover or not failed  # the last statements close the file, which is whole
        assert not failed or ("disk I/O error" in message and path.name in message), message
        assert failed or states == (9 if action == "resume" else 5)
        number += 1
    assert number > (20 if action == "record" else 7 if action == "resume" else 5)


def _connect(connect, path, **options):
    return connect(path, **options if "mode=ro" in str(path) else {**options, "factory": Failing})


@pytest.fixture
def full_disk(monkeypatch):
    """A disk that is full before the row of epoch 5."""
    monkeypatch.setattr(writer, "PAUSE", 0.001)
    original = recorder.add_rows

    def failing(connection, rows, *rest):
        if any(row[0] == 5 for row in rows):
            raise sqlite3.OperationalError("database or disk is full")
        original(connection, rows, *rest)

    monkeypatch.setattr(recorder, "add_rows", failing)
    monkeypatch.setattr(recorder.Recorder, "is_full", True)  # each state is written at once


MESSAGE = r"recording to '.*a.run' failed: database or disk is full; it holds [1-5] states?, up to epoch [0-4]"


@pytest.mark.usefixtures("full_disk")
def test_the_warning_says_what_is_recorded(tmp_path):
    """It comes once, with the file, the cause and the number of recorded states; the stream keeps the error."""
    trainer, train, validation = tiny()
    stream = fl.record(tmp_path / "a.run", trainer, train, validation)(take(10_000, fl.epochs(trainer, train, validation)))
    assert stream.failure is None
    with pytest.warns(fl.RecordingWarning, match=f"{MESSAGE}; training continues") as warned:
        state = next(state for state in stream if warned.list)
    assert state.epoch < 9_000  # it comes during training, not after ten thousand epochs
    assert next(stream).epoch == state.epoch + 1
    assert re.match(MESSAGE, str(stream.failure))
    stream.close()
    held = len(fl.open_run(tmp_path / "a.run").rows)
    assert 1 <= held <= 5
    assert f"it holds {held} state" in str(stream.failure)
    assert [path.name for path in tmp_path.iterdir()] == ["a.run"]


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("how", ["path", "record"])
def test_a_fit_keeps_its_states_when_recording_fails(tmp_path, how):
    """They are those of a fit that is not recorded, and the summary gives the reason."""
    trainer, train, validation = tiny()
    into = tmp_path / "a.run" if how == "path" else fl.record(tmp_path / "a.run", trainer, train, validation)
    with pytest.warns(fl.RecordingWarning, match=MESSAGE):
        fit = fl.fit(trainer, train, validation, epochs=20, progress=False, record=into)
    unrecorded = fl.fit(trainer, train, validation, epochs=20, progress=False)
    assert fl.same_bits((fit.best, fit.last), (unrecorded.best, unrecorded.last))
    assert re.match(MESSAGE, fit.record_failure)
    assert fit.record_failure in fit.summary()
    assert unrecorded.record_failure is None
    assert "recording" not in unrecorded.summary()


@pytest.mark.usefixtures("full_disk")
def test_the_warning_can_be_made_an_error(tmp_path):
    """By Python's warning filters."""
    trainer, train, validation = tiny()
    with warnings.catch_warnings():
        warnings.simplefilter("error", fl.RecordingWarning)
        with pytest.raises(fl.RecordingWarning, match=MESSAGE):
            fl.fit(trainer, train, validation, epochs=100, progress=False, record=tmp_path / "a.run")


@pytest.mark.usefixtures("full_disk")
def test_resume_raises_when_recording_fails(tmp_path):
    """Its only result is the file."""
    record_tiny(tmp_path / "a.run", 2)
    with pytest.raises(fl.RunError, match=MESSAGE):
        fl.open_run(tmp_path / "a.run").resume(epochs=10_000, progress=False)


def write_to_read_only_folder():
    """Return the errors of writing to a read-only folder and file; as another user if this one may write everywhere."""
    folder = Path(tempfile.mkdtemp())
    record_tiny(folder / "a.run", 3)  # also imports modules that are imported late
    fl.open_run(folder / "a.run").verify()
    (folder / "a.run").chmod(0o444)
    folder.chmod(0o555)
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    errors = {}
    for name, action in (
        ("record", lambda: record_tiny(folder / "b.run", 3)),
        ("resume", lambda: fl.open_run(folder / "a.run").resume(epochs=6, progress=False)),
        ("prune", lambda: fl.open_run(folder / "a.run").prune(1)),
    ):
        try:
            action()
            errors[name] = None
        except (fl.RunError, OSError) as error:
            errors[name] = [type(error).__name__, str(error)]
    run = fl.open_run(folder / "a.run")
    return [errors, run.verify().ok, len(run.rows), sorted(item.name for item in folder.iterdir())]


def test_a_read_only_folder():
    """Recording and resuming give an error; the run can still be read."""
    errors, verified, states, names = in_new_process(write_to_read_only_folder)
    for error in errors.values():
        assert error is not None
        assert error[0] in ("PermissionError", "RunError")
        assert ".run" in error[1]
    assert verified
    assert states == 4
    assert names == ["a.run"]


def resume_read_only_file():
    """Return the errors of resuming twice a read-only file in a folder that can be written."""
    folder = Path(tempfile.mkdtemp())
    record_tiny(folder / "a.run", 3)
    fl.open_run(folder / "a.run").verify()
    (folder / "a.run").chmod(0o444)
    folder.chmod(0o777)
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    errors = []
    for _ in range(2):  # the first releases the lock
        try:
            fl.open_run(folder / "a.run").resume(epochs=6, progress=False)
        except fl.RunError as error:
            errors.append(str(error))
    return errors


def test_a_read_only_file():
    """It cannot be resumed, each time for the same reason."""
    first, second = in_new_process(resume_read_only_file)
    assert "cannot be written: attempt to write a readonly database" in first
    assert first == second
