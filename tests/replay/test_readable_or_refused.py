"""Every recorded value can be read back from its path; others are refused, or warned of, when they are written."""

import os
import signal
import sqlite3
import sys
import warnings
from contextlib import closing
from time import sleep
from typing import Any

import numpy as np
import pytest

import fnloop as fl
from fnloop.core.records import frozen
from fnloop.runs import writer
from fnloop.runs.packing import MAX_JSON_VALUES
from fnloop.runs.reader import Reader
from tests.replay.support import fingerprint, in_new_process, record_tiny, tiny, wait_for


@frozen
class State:
    """A state with any value, and any metrics."""

    n: int
    value: Any = None
    metrics: Any = {}


def record_states(path, *states):
    return list(fl.record(path, None, None, None, iter(states)))


MANY = tuple(range(MAX_JSON_VALUES + 1))


@pytest.mark.parametrize("large", [State(2, MANY), State(2, None, {f"m{i}": 0.5 for i in MANY})], ids=["state", "metrics"])
def test_a_state_that_is_too_large_to_be_read_ends_the_recording(tmp_path, monkeypatch, large):
    monkeypatch.setattr(writer, "PAUSE", 0.001)
    stream = iter(fl.record(tmp_path / "a.run", None, None, None, iter([State(0), State(1), large, State(3)])))
    next(stream), next(stream)
    wait_for(tmp_path / "a.run")
    while len(fl.open_run(tmp_path / "a.run").rows) < 2:
        sleep(0.005)
    with pytest.warns(fl.RecordingWarning, match="is over 65536, numbers must be held in arrays"):
        assert [state.n for state in stream] == [2, 3]
    run = fl.open_run(tmp_path / "a.run", step=lambda state: State(state.n + 1), records=[State])
    assert [row.position for row in run.rows] == [0, 1]
    assert run.last == State(1)


def test_the_states_before_one_that_cannot_be_written_are_kept(tmp_path):
    states = [State(0), State(1), State(2, {1: 2}), State(3)]  # which come long before the first commit
    with pytest.warns(fl.RecordingWarning, match=r"the keys of a mapping must be text, .* it holds 2 states, up to epoch 1"):
        assert record_states(tmp_path / "a.run", *states) == states
    run = fl.open_run(tmp_path / "a.run", records=[State])
    assert (len(run.rows), run.last) == (2, State(1))


@pytest.mark.parametrize("array", [np.ma.masked_array([1.0, 2.0], [0, 1]), np.ones((2, 2)).view(np.matrix)])
def test_an_array_that_would_come_back_as_another_kind_is_refused(tmp_path, array):
    path = tmp_path / "a.run"
    with pytest.raises(TypeError, match="value cannot be written to a file: arrays must be plain ones, got a "):
        record_states(path, State(0, array))
    assert not path.exists()


def test_a_mapping_may_have_keys_that_look_like_forms(tmp_path):
    value = {"@function": 1, "@mapping": {"@array": "x"}, "@": "fnloop.Adam/x"}
    record_states(tmp_path / "a.run", State(0, value), State(1, value))
    assert fl.open_run(tmp_path / "a.run", records=[State]).state(1) == State(1, value)


@pytest.mark.parametrize("text", [np.str_(""), np.bytes_(b""), np.str_("ab")])
def test_scalars_of_text_are_read_back(tmp_path, text):
    record_states(tmp_path / "a.run", State(0, text))
    state = fl.open_run(tmp_path / "a.run", records=[State]).state(0)
    assert fl.same_bits(state.value, text)


def test_a_snapshot_that_is_pruned_after_it_was_listed_is_not_called_damaged(tmp_path, monkeypatch):
    path = tmp_path / "a.run"
    reference = [fingerprint(state) for state in record_tiny(path, 8, snapshot_every=2)]
    run, snapshots, stale = fl.open_run(path), Reader.snapshots, iter([[0, 2, 4, 6, 8]] * 2)
    run.prune(1)
    assert 4 not in snapshots(run._reader)
    monkeypatch.setattr(Reader, "snapshots", lambda reader: next(stale, None) or snapshots(reader))
    assert fingerprint(run.state(5)) == reference[5]
    stale = iter([[0, 2, 4, 6, 8]] * 2)
    assert run.verify()


def test_a_snapshot_that_is_listed_and_missing_is_damage(tmp_path):
    path = tmp_path / "a.run"
    record_tiny(path, 4, snapshot_every=2)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE snapshots SET content = content || ' ' WHERE position = 2")
    with pytest.raises(fl.RunError, match="the snapshot of state 2 does not match its digest"):
        fl.open_run(path).state(3)


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be deleted")
@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
@pytest.mark.parametrize("opened", [True, False])
def test_a_run_that_is_not_at_its_path_at_the_end_is_warned_of(tmp_path, monkeypatch, how, opened):
    """A file that is open is written to the end, wherever it is; a new one is open from its second rows on."""
    path, other = tmp_path / "a.run", tmp_path / "other.run"
    monkeypatch.setattr(writer, "PAUSE", 0.001)
    record_tiny(other, 2)
    trainer, *data = tiny()
    stream = fl.record(path, trainer, *data)(fl.epochs(trainer, *data))
    next(stream), next(stream)
    wait_for(path)
    if opened:
        next(stream)
        wait_for(path.with_name("a.run-wal"))
    {"deleted": path.unlink, "moved": lambda: path.rename(tmp_path / "b.run"), "replaced": lambda: other.replace(path)}[how]()
    next(stream)
    message = "was deleted, moved or replaced while it was recorded" if opened else "deleted, moved or replaced"
    with pytest.warns(fl.RecordingWarning, match=message):
        stream.close()


def test_a_change_of_the_folder_is_not_taken_for_a_move(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "PAUSE", 0.001)
    monkeypatch.chdir(tmp_path)
    trainer, *data = tiny()
    stream = fl.record("a.run", trainer, *data)(fl.epochs(trainer, *data))
    next(stream), next(stream)
    wait_for(tmp_path / "a.run")
    sleep(0.05)
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stream.close()
    assert len(fl.open_run(tmp_path / "a.run").rows) == 2


@pytest.mark.parametrize("position", [-1, 9, 1000])
def test_a_row_that_was_added_to_the_states_is_found(tmp_path, position):
    path = tmp_path / "a.run"
    record_tiny(path, 3)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO states SELECT ?, epoch, step, seconds, stopped, metrics, environment, fields, digest "
            "FROM states WHERE position = 3",
            [position],
        )
    with pytest.raises(fl.RunError, match=r"its states have rows from .* and the chain those from 0 to 3"):
        fl.open_run(path)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_a_path_that_is_not_utf8(tmp_path):
    path = os.path.join(tmp_path, os.fsdecode(b"\xff.run"))
    states = record_tiny(path, 4)
    run = fl.open_run(path)
    assert fl.same_bits(run.state(3), states[3])
    assert fl.same_bits(run.resume(epochs=5, progress=False).state(4), states[4])
    run.prune(1)
    run.copy_to(tmp_path / "b.run")
    assert len(fl.open_run(tmp_path / "b.run").rows) == 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_that_continues_the_stream_does_not_wait_for_a_thread_that_it_lacks(tmp_path):
    assert in_new_process(continue_in_child, str(tmp_path / "a.run")) == [0, 4]


def continue_in_child(path):
    """Fork within a stream; return the exit status of the child, which continues it, and the number of recorded rows."""
    writer.PAUSE, writer.MAX_QUEUED_BYTES = 0.001, 1
    trainer, *data = tiny()
    stream = fl.record(path, trainer, *data)(fl.epochs(trainer, *data))
    next(stream), next(stream), next(stream)
    wait_for(path)
    child = os.fork()
    if not child:
        signal.alarm(20)  # ends a process that hangs
        for _ in range(9):
            next(stream)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    next(stream)
    stream.close()
    return [status, len(fl.open_run(path).rows)]


def test_a_full_disk_is_no_damage(tmp_path, monkeypatch):
    """Where SQLite finds no place for the index of the log, the file may be whole."""
    path = tmp_path / "a.run"
    record_tiny(path, 1)

    def fail(*arguments):
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
        raise error

    monkeypatch.setattr("fnloop.runs.connection.check_schema", fail)
    with pytest.raises(fl.RunError, match=r"a\.run' cannot be read: .* is the disk full\?"):
        fl.open_run(path)
