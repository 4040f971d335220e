"""`overwrite=True` replaces a run file by a complete one, and nothing else: no other file, and no run being written."""

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from time import sleep

import numpy as np
import pytest
from toolz import nth, take

import fnloop as fl
from fnloop.runs import overwrite as overwriting
from fnloop.runs import recorder, writer
from fnloop.runs.lock import lock
from tests.replay.support import tiny, wait_for


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Commit often."""
    monkeypatch.setattr(writer, "PAUSE", 0.01)
    monkeypatch.setattr(recorder.Recorder, "is_full", True)  # each state is written at once


TRAINER, *DATA = tiny()
OTHER = tiny(seed=5)[0]


def train(path, trainer=TRAINER, epochs=3, **options):
    return fl.fit(trainer, *DATA, epochs=epochs, progress=False, record=path, **options)


def killed(path, epochs=4):
    """Leave a run as a killed process leaves it, with its last epochs in a log next to its file."""
    states = fl.record(path, TRAINER, *DATA, snapshot_every=1)(take(epochs + 1, fl.epochs(TRAINER, *DATA)))
    for state in states:
        if state.epoch == epochs:
            wait_for(path)
            while len(fl.open_run(path).rows) <= epochs:
                sleep(0.01)
            copies = {end: shutil.copy(f"{path}{end}", f"{path}{end}.copy") for end in ("", "-wal")}
    os.unlink(path)
    for end, copy in copies.items():
        os.rename(copy, f"{path}{end}")
    assert os.path.getsize(f"{path}-wal")


def is_run_of(path, trainer, epochs):
    run = fl.open_run(path)
    assert fl.same_bits(run.trainer, trainer)
    assert fl.same_bits(run.last, nth(epochs, fl.epochs(trainer, *DATA)))
    assert run.verify().ok
    assert not [name for name in os.listdir(os.path.dirname(path)) if name.startswith(os.path.basename(path) + "-")]
    return True


@pytest.mark.parametrize("log", [False, True], ids=["finished", "killed"])
@pytest.mark.parametrize("by", ["fit", "record"])
def test_a_run_is_replaced(tmp_path, log, by):
    """With its log, which the new run must not read; again, and if there was no run before."""
    path = tmp_path / "a.run"
    train(path, overwrite=True)
    if log:
        os.unlink(path)
        killed(path)
    os.chmod(path, 0o600)
    if by == "fit":
        train(path, OTHER, epochs=2, overwrite=True)
    else:
        fl.last(fl.record(path, OTHER, *DATA, overwrite=True)(take(3, fl.epochs(OTHER, *DATA))))
    assert is_run_of(path, OTHER, 2)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    train(path, epochs=1, overwrite=True)
    assert is_run_of(path, TRAINER, 1)
    fl.open_run(path).resume(epochs=3, progress=False)
    assert is_run_of(path, TRAINER, 3)


def test_a_run_that_was_opened_before_it_was_replaced_says_so(tmp_path):
    """The error does not call the file damaged."""
    path = tmp_path / "a.run"
    train(path)
    run = fl.open_run(path)
    train(path, OTHER, overwrite=True)
    for action in (lambda: run.history, lambda: run.state(1), lambda: run.last, lambda: run.resume(epochs=5)):
        with pytest.raises(fl.RunError, match="another run than when it was opened"):
            action()
    os.unlink(path)
    assert "cannot be read" in repr(run)


def test_without_overwrite_nothing_is_replaced(tmp_path):
    """With it, the former run stays if the new one fails before its first state."""
    path = tmp_path / "a.run"
    train(path)
    with pytest.raises(fl.RunError, match=r"path must be a new file, .*continues it, overwrite=True replaces it$"):
        train(path)
    with pytest.raises(ValueError, match="x must be of shape"):
        fl.fit(TRAINER, fl.Dataset(np.zeros((4, 9)), np.zeros(4)), record=path, overwrite=True, progress=False)
    fl.record(path, OTHER, *DATA, overwrite=True)(fl.epochs(OTHER, *DATA))  # no state is read
    assert is_run_of(path, TRAINER, 3)


def test_a_run_that_is_being_written_is_never_replaced(tmp_path):
    """Also if writing starts between the call and the first state."""
    path = tmp_path / "a.run"
    train(path)
    waiting = fl.record(path, OTHER, *DATA, overwrite=True)(take(2, fl.epochs(OTHER, *DATA)))
    release = lock(path)
    with pytest.raises(fl.RunError, match="is being written"):
        train(path, OTHER, overwrite=True)
    with pytest.raises(fl.RunError, match="is being written"):
        next(waiting)
    release()
    assert is_run_of(path, TRAINER, 3)


@pytest.mark.thorough  # a closing writer waits some seconds for the reader
def test_a_run_is_not_replaced_while_its_log_is_read(tmp_path, monkeypatch):
    """The former run stays whole, and can be replaced later."""
    monkeypatch.setattr(overwriting, "PATIENCE", 0.1)
    path = tmp_path / "a.run"
    killed(path)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM head").fetchall()
        with pytest.warns(fl.RecordingWarning, match=r"is being read|locked"):
            train(path, OTHER, overwrite=True)
    assert fl.same_bits(fl.open_run(path).last, nth(4, fl.epochs(TRAINER, *DATA)))
    train(path, OTHER, overwrite=True)
    assert is_run_of(path, OTHER, 3)


def foreign(path):
    path.write_bytes(b"not a run\n" * 100)


def database(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (x)")
        connection.commit()


def newer(path):
    train(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")


@pytest.mark.parametrize(
    "make", [foreign, database, newer, lambda path: path.touch()], ids=["text", "sqlite", "newer", "empty"]
)
def test_another_file_is_never_replaced(tmp_path, make):
    """It keeps every byte, also if the path is a link to it."""
    path = tmp_path / "a.run"
    make(path)
    content = path.read_bytes()
    link = tmp_path / "link.run"
    link.symlink_to(path)
    for name in (path, link):
        with pytest.raises(fl.RunError, match="only a run can be overwritten"):
            train(name, overwrite=True)
    assert path.read_bytes() == content
    assert sorted(os.listdir(tmp_path)) == ["a.run", "link.run"]


def test_only_regular_files_are_replaced(tmp_path):
    """Not a folder, a FIFO, or the log of a run file that was moved."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name in ("folder", "fifo"):
        with pytest.raises(fl.RunError, match="not a regular file"):
            train(tmp_path / name, overwrite=True)
    (tmp_path / "a.run-wal").write_bytes(b"log")
    with pytest.raises(fl.RunError, match="the last epochs of a killed run"):
        train(tmp_path / "a.run", overwrite=True)


def test_a_link_stays(tmp_path):
    """Its target is replaced."""
    train(tmp_path / "a.run")
    (tmp_path / "link.run").symlink_to("a.run")
    train(tmp_path / "link.run", OTHER, overwrite=True)
    assert (tmp_path / "link.run").is_symlink()
    assert is_run_of(tmp_path / "a.run", OTHER, 3)


def test_a_failed_rename_keeps_the_former_run(tmp_path, monkeypatch):
    """As in a process that is killed just before it; the former run has all epochs of its log."""
    path = tmp_path / "a.run"
    killed(path)

    def fails(partial, target):
        raise OSError("killed")

    monkeypatch.setattr(overwriting.os, "replace", fails)
    with pytest.warns(fl.RecordingWarning, match="killed; no state was written; training continues unrecorded"):
        train(path, OTHER, overwrite=True)
    monkeypatch.undo()
    assert is_run_of(path, TRAINER, 4)


@pytest.mark.parametrize("record", [None, lambda states: states])
def test_overwrite_needs_a_path(record):
    """The error says so."""
    with pytest.raises(ValueError, match="overwrite must be False unless record is the path"):
        fl.fit(TRAINER, *DATA, record=record, overwrite=True)
    with pytest.raises(TypeError, match="overwrite must be True or False, got 1"):
        fl.record("a.run", TRAINER, *DATA, overwrite=1)
