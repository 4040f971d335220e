"""The run files of a population, which one thread writes: each is that of a solo run, and none depends on the others."""

import os
import signal
import sqlite3
import threading
from pathlib import Path

import pytest

import fnloop as fl
from fnloop.core.digest import same_bits
from fnloop.populations import members as members_module
from fnloop.runs import lock, recorder, writer
from fnloop.runs.lock import Locks
from tests.replay.support import start_process

DATA = fl.datasets.iris()
BASE = fl.Trainer(model=fl.mlp([4, 3, 3]), loss="cross_entropy", batch_size=64)
MEMBERS = fl.grid(BASE, seed=range(2), lr=[0.01, 0.1, 0.001])


def sweep(folder, epochs=3, trainers=MEMBERS):
    return fl.sweep(trainers, DATA.train, DATA.validation, epochs=epochs, record=folder, progress=False)


def content(path):
    """All that a file holds but times, and the chain of hashes over them."""
    connection = sqlite3.connect(path)
    queries = (
        "SELECT name, value FROM run WHERE name <> 'created' ORDER BY name",
        "SELECT position, epoch, step, stopped, metrics, environment, fields, digest FROM states",
        "SELECT position, content FROM snapshots",
        "SELECT * FROM arrays ORDER BY hash, part",
        "SELECT * FROM records ORDER BY hash",
        "SELECT number, rows FROM blocks",
        "SELECT position, ended IS NULL FROM head",
        "SELECT type, name, sql FROM sqlite_master ORDER BY name",
        "PRAGMA application_id",
        "PRAGMA user_version",
        "PRAGMA integrity_check",
    )
    found = [connection.execute(query).fetchall() for query in queries]
    connection.close()
    return found


@pytest.fixture(params=["at the end", "often", "closed in between", "large"])
def pace(request, monkeypatch):
    """When files are written, and how: as they are made in memory, or not."""
    if request.param in ("often", "closed in between"):
        monkeypatch.setattr(writer, "PAUSE", 0.001)
        monkeypatch.setattr(writer, "PAUSE_A_FILE", 0.001)
    if request.param == "closed in between":
        monkeypatch.setattr(writer, "MAX_OPEN", 0)
    if request.param == "large":
        monkeypatch.setattr("fnloop.runs.creation.MAX_BYTES", 0)
    return request.param


def test_a_file_of_a_population_equals_that_of_a_solo_run(tmp_path, pace, monkeypatch):
    """In all but times, whenever it is written; snapshots are those of the first, the last and the best state."""
    monkeypatch.setattr("fnloop.runs.snapshots.REPLAY_SECONDS", 60)
    if pace in ("often", "closed in between"):  # when the best state so far gets a snapshot depends on time
        monkeypatch.setattr("fnloop.runs.snapshots.SnapshotSchedule.is_affordable", lambda *_: False)
    sweep(tmp_path / "runs")
    for i, trainer in enumerate(MEMBERS):
        solo = tmp_path / "solo.run"
        fl.fit(trainer, DATA.train, DATA.validation, epochs=3, record=solo, overwrite=True, progress=False)
        assert content(tmp_path / "runs" / f"{i:04}.run") == content(solo)
    assert {path.suffix for path in (tmp_path / "runs").iterdir()} == {".run"}


def test_the_seconds_of_a_member_are_its_share(tmp_path):
    """Not those of all members for the first, and none for the others."""
    result = sweep(tmp_path)
    for i, fit in enumerate(result):
        seconds = [row.seconds for row in fl.open_run(tmp_path / f"{i:04}.run").rows[1:]]
        assert seconds == pytest.approx(fit.history["seconds"], abs=1e-6)


def test_one_thread_writes_all_files(tmp_path, monkeypatch):
    """However many members there are; it ends with the sweep."""
    seen, show = set(), members_module.Lockstep._advance
    before = set(threading.enumerate())

    def look(self):
        seen.update(threading.enumerate())
        show(self)

    monkeypatch.setattr(members_module.Lockstep, "_advance", look)
    sweep(tmp_path, trainers=fl.grid(BASE, seed=range(20)))
    assert [thread.name for thread in seen - before] == ["fnloop-record"]
    for thread in seen - before:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("how", ["disk full", "no folder", "taken"])
def test_an_error_of_one_file_is_that_of_its_member_alone(tmp_path, monkeypatch, how):
    """It names the file, and the others are whole."""
    original = recorder.add_rows if how == "disk full" else writer.Sink._create

    def fail(self_or_connection, *rest):
        if how == "disk full":
            if any(row[0] == 1 and row[8] == failing for row in rest[0]):
                raise sqlite3.OperationalError("database or disk is full")
        elif self_or_connection.path.name == "0002.run":
            path = self_or_connection.path
            if how == "taken":
                path.write_text("another file")
            else:
                self_or_connection._absolute = path.parent / "missing" / path.name
        return original(self_or_connection, *rest)

    failing = fl.fit(MEMBERS[2], DATA.train, DATA.validation, epochs=1, progress=False).last
    failing = fl.digest(failing)
    monkeypatch.setattr(*((recorder, "add_rows") if how == "disk full" else (writer.Sink, "_create")), fail)
    message = {"disk full": "is full", "no folder": "No such file", "taken": "must be a new file"}[how]
    with pytest.warns(fl.RecordingWarning, match=rf"recording to '.*0002.run' failed: .*{message}") as warned:
        result = sweep(tmp_path)
    assert len(warned) == 1
    for i, fit in enumerate(result):
        assert fit.last.epoch == 3
        assert (fit.record_failure is None) == (i != 2)
        if i != 2:
            run = fl.open_run(tmp_path / f"{i:04}.run")
            assert run.verify().ok
            assert same_bits(run.last, fit.last)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".run"]


def train_for_long(folder):
    """Train a population until the process is ended."""
    writer.PAUSE, writer.PAUSE_A_FILE = 0.01, 0.001
    sweep(folder, epochs=10**6)


@pytest.mark.thorough
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=lambda end: end.name)
def test_a_population_that_ends_at_any_time_can_be_resumed(tmp_path, end):
    """Each file is that of a run that ended there; a Ctrl-C leaves them complete."""
    process = start_process(train_for_long, str(tmp_path))
    paths = [tmp_path / f"{i:04}.run" for i in range(len(MEMBERS))]
    while not all(path.exists() for path in paths) or len(fl.open_run(paths[-1]).rows) < 5:
        assert process.poll() is None
    process.send_signal(end)
    process.communicate(timeout=60)
    for trainer, path in zip(MEMBERS, paths, strict=True):
        run = fl.open_run(path)
        assert run.verify().ok
        assert content(path)[6] == [(len(run.rows) - 1, end == signal.SIGKILL)]
        epochs = len(run.rows) + 2
        expected = fl.fit(trainer, DATA.train, DATA.validation, epochs=epochs, progress=False).last
        assert same_bits(run.resume(epochs=epochs, progress=False).last, expected)
    assert sorted(tmp_path.iterdir()) == paths


@pytest.mark.skipif(os.name != "posix", reason="needs a limit of open files")
def test_files_are_closed_in_between_where_few_may_be_open(tmp_path, monkeypatch):
    """A process that may open 60 files records 40 members."""
    import resource

    monkeypatch.setattr(writer, "PAUSE", 0.001)
    monkeypatch.setattr(writer, "PAUSE_A_FILE", 0.001)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 60
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 30, limits[1]))
    try:
        result = sweep(tmp_path, epochs=30, trainers=fl.grid(BASE, seed=range(40)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert all(fit.record_failure is None for fit in result)
    assert all(fl.open_run(path).verify().ok for path in sorted(tmp_path.iterdir())[:3])


def test_locks_of_several_files_are_one_open_file(tmp_path):
    """Each is refused to others until it is released, whatever happens to the rest."""
    if not os.path.exists("/proc/self/fd"):
        pytest.skip("needs /proc")
    paths, locks, before = [tmp_path / f"{i}.run" for i in range(50)], Locks(), len(os.listdir("/proc/self/fd"))
    releases = [lock.lock(path, locks) for path in paths]
    assert len(os.listdir("/proc/self/fd")) == before + 1
    for i, (path, release) in enumerate(zip(paths, releases, strict=True)):
        with pytest.raises(fl.RunError, match=rf"{i}.run' is being written by another stream of this process"):
            lock.lock(path)
        release()
        lock.lock(path)()
    assert len(os.listdir("/proc/self/fd")) == before
    assert list(tmp_path.iterdir()) == []


def hold_all(folder):
    """Lock two files, and be killed."""
    locks = Locks()
    for name in ("a.run", "b.run"):
        lock.lock(Path(folder) / name, locks)
    os.kill(os.getpid(), signal.SIGKILL)


def test_locks_that_a_killed_process_left_are_taken_one_by_one(tmp_path):
    """They are names of one file, and taking one does not take the other."""
    start_process(hold_all, str(tmp_path)).communicate(timeout=60)
    assert len(list(tmp_path.iterdir())) == 2
    first = lock.lock(tmp_path / "a.run")
    lock.lock(tmp_path / "b.run")()
    first()
    assert list(tmp_path.iterdir()) == []
