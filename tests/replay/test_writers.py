"""A run file has one writer at a time, and any number of readers."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest
from toolz import take

import fnloop as fl
from fnloop.runs import writer
from fnloop.runs.files import free_path
from fnloop.runs.lock import lock
from tests.replay.support import fingerprint, in_new_process, record_tiny, start_process, tiny, wait_for


def record_in_steps(path, epochs, resume=False, stops=(1,)):
    """Record, and at each epoch in `stops` print a line and wait for one; with `resume`, resume and stop at the last epoch."""
    writer.PAUSE = 0.001
    trainer, train, validation = tiny()
    if resume:
        original = writer.Writer.put

        def put(self, state, seconds):
            if state.epoch == epochs:
                print("stopped", flush=True)
                sys.stdin.readline()
            original(self, state, seconds)

        writer.Writer.put = put
        fl.open_run(path).resume(epochs=epochs, progress=False)
        return len(fl.open_run(path).rows)
    for state in fl.record(path, trainer, train, validation)(take(epochs + 1, fl.epochs(trainer, train, validation))):
        if state.epoch in stops:
            wait_for(path)
            print("stopped", flush=True)
            sys.stdin.readline()
    return len(fl.open_run(path).rows)


def try_everything(path):
    """Return the errors of writing to a run in another process, and the digest of a state that is forked from it."""
    trainer, train, validation = tiny()
    errors = []
    for action in (
        lambda: fl.record(path, trainer, train, validation),
        lambda: fl.open_run(path).resume(epochs=60, progress=False),
        lambda: fl.open_run(path).prune(1),
    ):
        try:
            action()
            errors.append(None)
        except fl.RunError as error:
            errors.append(str(error))
    forked = fl.open_run(path).fork(1, f"{path}.fork")
    return [errors, fingerprint(forked.resume(epochs=3, progress=False).last)]


@pytest.fixture
def reference():
    """The digests of the states of the recorded run."""
    trainer, train, validation = tiny()
    return list(map(fingerprint, take(41, fl.epochs(trainer, train, validation))))


@pytest.mark.parametrize("resume", [False, True])
def test_the_second_writer_is_refused(tmp_path, reference, resume):
    """While one process records or resumes, another can neither record there, resume nor prune; it can read and fork."""
    path = tmp_path / "a.run"
    if resume:
        record_tiny(path, 5)
    first = start_process(record_in_steps, str(path), 30, resume)
    assert first.stdout.readline() == "stopped\n"
    errors, forked = in_new_process(try_everything, str(path))
    assert "path must be a new file, " in errors[0]
    for text in errors[1:]:
        assert f"is being written by process {first.pid}, and a run has one writer at a time" in text
    assert forked == reference[3]
    out, err = first.communicate("go\n", timeout=60)
    assert (first.returncode, out) == (0, "31\n"), err
    run = fl.open_run(path)
    assert [fingerprint(run.state(epoch)) for epoch in range(31)] == reference[:31]
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.run", "a.run.fork"]
    assert fl.open_run(path).resume(epochs=40, progress=False).rows[-1].epoch == 40  # the lock is released


@pytest.mark.thorough
def test_of_many_processes_that_start_at_once_one_records(tmp_path, reference):
    """The others get an error."""
    path = tmp_path / "a.run"
    processes = [start_process(try_to_record, str(path)) for _ in range(6)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert results.count('"recorded"') == 1
    assert results.count('"refused"') == 5
    run = fl.open_run(path)
    assert [fingerprint(run.state(epoch)) for epoch in range(31)] == reference[:31]
    assert [item.name for item in tmp_path.iterdir()] == ["a.run"]


def try_to_record(path):
    record_tiny(f"{path}.{os.getpid()}", 1)  # imports everything
    os.unlink(f"{path}.{os.getpid()}")
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        record_tiny(path, 30)
    except fl.RunError:
        return "refused"
    return "recorded"


def test_a_reader_sees_committed_epochs_while_the_run_is_written(tmp_path, reference):
    """Each time it sees at least as many epochs as before, and can recover the state of each."""
    path = tmp_path / "a.run"
    stops = [1, 5, 6, 20, 33, 39]
    process = start_process(record_in_steps, str(path), 40, False, stops)
    seen, opened = [], None
    for stop in stops:
        assert process.stdout.readline() == "stopped\n"
        opened = opened or fl.open_run(path)
        while not seen or seen[-1] <= stop:
            fresh = fl.open_run(path)
            rows = fresh.rows
            seen.append(len(rows))
            assert len(rows) <= stop + 1
            assert fingerprint(fresh.state(rows[-1].epoch)) == reference[len(rows) - 1]
            assert len(opened.rows) >= len(rows)  # a run that was opened earlier sees as much
        assert fresh.verify().ok
        assert len(opened.history["loss"]) == stop
        process.stdin.write("go\n")
        process.stdin.flush()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "41\n"), err
    assert seen == sorted(seen)
    assert [fingerprint(opened.state(epoch)) for epoch in range(41)] == reference
    assert opened.stop_reason is None


def test_the_lock_of_a_killed_writer_is_released(tmp_path, reference):
    """The lock file stays, but the run can be resumed at once."""
    path = tmp_path / "a.run"
    process = start_process(record_in_steps, str(path), 30)
    assert process.stdout.readline() == "stopped\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "a.run-lock").exists()
    assert fingerprint(fl.open_run(path).resume(epochs=40, progress=False).last) == reference[40]
    assert [item.name for item in tmp_path.iterdir()] == ["a.run"]


def test_files_of_a_run_killed_at_its_start_do_not_block_a_new_one(tmp_path, reference):
    """A lock file without a holder, and an incomplete run file."""
    (tmp_path / "a.run-lock").touch()
    (tmp_path / ".a.run.0123abcd.partial").write_bytes(b"SQLite format 3\0")
    (tmp_path / ".a.run.0123abcd.partial-journal").write_bytes(b"x")
    record_tiny(tmp_path / "a.run", 30)
    assert fingerprint(fl.open_run(tmp_path / "a.run").last) == reference[30]


def test_a_stream_that_cannot_be_recorded_leaves_no_files(tmp_path):
    """A stream that fails before its first state, and one whose states are not data."""
    trainer, train, validation = tiny()

    def failing():
        raise OSError("no states")
        yield

    with pytest.raises(OSError, match="no states"):
        fl.last(fl.record(tmp_path / "a.run", trainer, train, validation, failing()))
    with pytest.raises(TypeError, match=r"cannot be written to a file: only records, sequences, .* got <object"):
        fl.last(fl.record(tmp_path / "a.run", None, None)([object()]))
    assert list(tmp_path.iterdir()) == []
    record_tiny(tmp_path / "a.run", 2)


def record_slowly_and_die(path):
    for state in record_stream(path, 1000):
        if state.epoch == 400:
            sleep(0.1)
            os.kill(os.getpid(), signal.SIGKILL)


def record_stream(path, epochs):
    writer.PAUSE = 0.001
    trainer, train, validation = tiny()
    return fl.record(path, trainer, train, validation)(take(epochs + 1, fl.epochs(trainer, train, validation)))


@pytest.mark.parametrize("action", ["record", "fork", "free_path"])
def test_the_log_of_a_killed_run_is_not_read_as_that_of_a_new_run(tmp_path, action):
    """If only the run file is moved away, SQLite would read the remaining log as that of a new file at the path."""
    path = tmp_path / "a.run"
    start_process(record_slowly_and_die, str(path)).communicate(timeout=100)
    log = path.with_name("a.run-wal")
    assert log.stat().st_size
    path.rename(tmp_path / "b.run")
    if action == "free_path":
        assert free_path(path) == tmp_path / "a-2.run"
        return
    with pytest.raises(fl.RunError, match=r"but '.*a.run-wal' has the last epochs of a killed run, recorded in '.*a.run'"):
        fl.last(record_stream(path, 3)) if action == "record" else fl.open_run(tmp_path / "b.run").fork(0, path)
    assert not path.exists()
    (tmp_path / "b.run").rename(path)
    assert len(fl.open_run(path).rows) > 300
    assert fl.open_run(path).verify().ok


def test_a_run_is_read_by_many_threads_while_it_is_written(tmp_path):
    """Each sees the rows that are committed so far."""
    path, found = tmp_path / "a.run", []

    def read(run):
        while len(found) < 3:
            positions = [row.position for row in run.rows]
            assert positions == list(range(len(positions)))
            assert len(run.history.get("loss", ())) >= len(positions) - 1

    with ThreadPoolExecutor(3) as pool:
        readers = []
        for state in record_stream(path, 150):
            if state.epoch == 5:
                wait_for(path)
                run = fl.open_run(path)
                readers = [pool.submit(read, run) for _ in range(3)]
        found += [1, 2, 3]
        for reader in readers:
            reader.result()


def test_a_link_to_a_run_has_the_same_lock(tmp_path):
    """There is one writer, by whatever name the file is called."""
    record_tiny(tmp_path / "a.run", 3)
    (tmp_path / "link.run").symlink_to(tmp_path / "a.run")
    release = lock(tmp_path / "a.run")
    with pytest.raises(fl.RunError, match="is being written by another"):
        fl.open_run(tmp_path / "link.run").resume(epochs=9, progress=False)
    release()
    assert fl.open_run(tmp_path / "link.run").resume(epochs=9, progress=False).last.epoch == 9


def test_a_stream_that_fails_or_is_closed_can_be_resumed(tmp_path, reference):
    """The file has all states up to then."""
    trainer, train, validation = tiny()

    def failing():
        yield from take(8, fl.epochs(trainer, train, validation))
        raise OSError("the power is gone")

    for stop in (failing(), take(9, fl.epochs(trainer, train, validation))):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.run"
        states = fl.record(path, trainer, train, validation)(stop)
        if path.name == "0.run":
            with pytest.raises(OSError, match="the power is gone"):
                fl.last(states)
        else:
            for _ in range(8):
                next(states)
            states.close()
        assert len(fl.open_run(path).rows) == 8
        assert fingerprint(fl.open_run(path).resume(epochs=12, progress=False).last) == reference[12]


def test_states_that_are_not_an_epoch_apart_are_refused(tmp_path):
    """Single steps, and every second epoch: their file could not recover them."""
    trainer, train, validation = tiny()
    for name, stream in (
        ("steps", fl.steps(trainer, train, validation)),
        ("thinned", fl.every(2, fl.epochs(trainer, train, validation))),
    ):
        with pytest.raises(ValueError, match=r"states must be an epoch apart, as those of fl.epochs are"):
            fl.last(fl.record(tmp_path / name, trainer, train, validation, take(9, stream)))
