"""One writer, and any number of readers beside it."""

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
from tests.replay.support import fingerprint, in_new_process, record_tiny, start_process, tiny


def slowly(path, epochs, go_on=False, stops=(1,)):
    """Record, or go on, and say so at some epochs, to wait for a word there; where it goes on, at the last one."""
    writer.PAUSE = 0.001
    trainer, train, validation = tiny()
    if go_on:
        original = writer.Writer.put

        def put(own, state, seconds):
            if state.epoch == epochs:
                print("there", flush=True)
                sys.stdin.readline()
            original(own, state, seconds)

        writer.Writer.put = put
        fl.open_run(path).resume(epochs=epochs, progress=False)
        return len(fl.open_run(path).rows)
    for state in fl.record(path, trainer, train, validation)(take(epochs + 1, fl.epochs(trainer, train, validation))):
        if state.epoch in stops:
            print("there", flush=True)
            sys.stdin.readline()
    return len(fl.open_run(path).rows)


def attempts(path):
    """What another process may not do, and may."""
    trainer, train, validation = tiny()
    said = []
    for what in (
        lambda: fl.record(path, trainer, train, validation),
        lambda: fl.open_run(path).resume(epochs=60, progress=False),
        lambda: fl.open_run(path).prune(1),
    ):
        try:
            what()
            said.append(None)
        except fl.RunError as error:
            said.append(str(error))
    forked = fl.open_run(path).fork(1, f"{path}.fork")
    return [said, fingerprint(forked.resume(epochs=3, progress=False).last)]


@pytest.fixture
def reference():
    """The states of the run that is recorded here."""
    trainer, train, validation = tiny()
    return list(map(fingerprint, take(41, fl.epochs(trainer, train, validation))))


@pytest.mark.parametrize("go_on", [False, True])
def test_the_second_writer_is_refused(tmp_path, reference, go_on):
    """While one records or goes on, another can neither record there, go on nor prune; it can read and fork."""
    path = tmp_path / "a.run"
    if go_on:
        record_tiny(path, 5)
    first = start_process(slowly, str(path), 30, go_on)
    assert first.stdout.readline() == "there\n"
    said, forked = in_new_process(attempts, str(path))
    assert "path must be a new file, " in said[0]
    for text in said[1:]:
        assert "is being written by another process or stream, and a run has one writer at a time" in text
    assert forked == reference[3]
    out, err = first.communicate("go\n", timeout=60)
    assert (first.returncode, out) == (0, "31\n"), err
    run = fl.open_run(path)
    assert [fingerprint(run.state(epoch)) for epoch in range(31)] == reference[:31]
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.run", "a.run.fork"]
    assert fl.open_run(path).resume(epochs=40, progress=False).rows[-1].epoch == 40  # nobody holds it any more


def test_two_that_begin_at_once(tmp_path, reference):
    """Of many that want to record to one path one does, and the others are told."""
    path = tmp_path / "a.run"
    all_at_once = [start_process(try_to_record, str(path)) for _ in range(6)]
    for process in all_at_once:
        assert process.stdout.readline() == "ready\n"
    for process in all_at_once:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].strip() for process in all_at_once]
    assert said.count('"recorded"') == 1
    assert said.count('"refused"') == 5
    run = fl.open_run(path)
    assert [fingerprint(run.state(epoch)) for epoch in range(31)] == reference[:31]
    assert [item.name for item in tmp_path.iterdir()] == ["a.run"]


def try_to_record(path):
    record_tiny(f"{path}.{os.getpid()}", 1)  # all is loaded now
    os.unlink(f"{path}.{os.getpid()}")
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        record_tiny(path, 30)
    except fl.RunError:
        return "refused"
    return "recorded"


def test_a_reader_beside_the_writer_sees_committed_epochs_only(tmp_path, reference):
    """What it sees grows, is a beginning of the run each time, and each state of it can be had."""
    path = tmp_path / "a.run"
    stops = [1, 5, 6, 20, 33, 39]
    process = start_process(slowly, str(path), 40, False, stops)
    seen, opened = [], None
    for stop in stops:
        assert process.stdout.readline() == "there\n"
        opened = opened or fl.open_run(path)
        while not seen or seen[-1] <= stop:
            fresh = fl.open_run(path)
            rows = fresh.rows
            seen.append(len(rows))
            assert len(rows) <= stop + 1
            assert fingerprint(fresh.state(rows[-1].epoch)) == reference[len(rows) - 1]
            assert len(opened.rows) >= len(rows)  # one that was opened before sees as much
        assert fresh.verify().ok
        assert len(opened.history["loss"]) == stop
        process.stdin.write("go\n")
        process.stdin.flush()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "41\n"), err
    assert seen == sorted(seen)
    assert [fingerprint(opened.state(epoch)) for epoch in range(41)] == reference
    assert opened.stop_reason is None


def test_the_lock_of_a_killed_writer_holds_nobody_up(tmp_path, reference):
    """Its file stays, the lock does not: the run is gone on with at once, whatever lies beside it."""
    path = tmp_path / "a.run"
    process = start_process(slowly, str(path), 30)
    assert process.stdout.readline() == "there\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "a.run-lock").exists()
    assert fingerprint(fl.open_run(path).resume(epochs=40, progress=False).last) == reference[40]
    assert [item.name for item in tmp_path.iterdir()] == ["a.run"]


def test_what_a_killed_beginning_left_holds_nobody_up(tmp_path, reference):
    """A lock without a holder, and a file that was not finished, stand beside the path and not in the way."""
    (tmp_path / "a.run-lock").touch()
    (tmp_path / ".a.run.0123abcd.partial").write_bytes(b"SQLite format 3\0")
    (tmp_path / ".a.run.0123abcd.partial-journal").write_bytes(b"x")
    record_tiny(tmp_path / "a.run", 30)
    assert fingerprint(fl.open_run(tmp_path / "a.run").last) == reference[30]


def test_what_cannot_be_recorded_leaves_no_file_and_no_lock(tmp_path):
    """A stream that fails before its first state, or holds what is no data."""
    trainer, train, validation = tiny()

    def failing():
        raise OSError("no states")
        yield

    with pytest.raises(OSError, match="no states"):
        fl.last(fl.record(tmp_path / "a.run", trainer, train, validation, failing()))
    with pytest.raises(TypeError, match=r"a record may hold numbers, strings, .* got <object"):
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


@pytest.mark.parametrize("what", ["record", "fork", "free"])
def test_what_a_killed_run_left_is_not_taken_for_a_new_one(tmp_path, what):
    """Its log stays when its file is taken away; a new file there would get what is in it."""
    path = tmp_path / "a.run"
    start_process(record_slowly_and_die, str(path)).communicate(timeout=100)
    log = path.with_name("a.run-wal")
    assert log.stat().st_size
    path.rename(tmp_path / "b.run")
    if what == "free":
        assert free_path(path) == tmp_path / "a-2.run"
        return
    with pytest.raises(fl.RunError, match=r"but '.*a.run-wal' has the last epochs of a killed run, recorded in '.*a.run'"):
        fl.last(record_stream(path, 3)) if what == "record" else fl.open_run(tmp_path / "b.run").fork(0, path)
    assert not path.exists()
    (tmp_path / "b.run").rename(path)
    assert len(fl.open_run(path).rows) > 300
    assert fl.open_run(path).verify().ok


def test_a_run_in_many_threads_while_it_is_written(tmp_path):
    """Each sees what is committed by then."""
    path, found = tmp_path / "a.run", []

    def read(run):
        while len(found) < 3:
            positions = [row.position for row in run.rows]
            assert positions == list(range(len(positions)))
            assert len(run.history.get("loss", ())) >= len(positions) - 1

    with ThreadPoolExecutor(3) as pool:
        readers = []
        for state in record_stream(path, 600):
            if state.epoch == 5:
                run = fl.open_run(path)
                readers = [pool.submit(read, run) for _ in range(3)]
        found += [1, 2, 3]
        for reader in readers:
            reader.result()


def test_one_writer_by_any_name(tmp_path):
    """A link to the file is the file."""
    record_tiny(tmp_path / "a.run", 3)
    (tmp_path / "link.run").symlink_to(tmp_path / "a.run")
    release = lock(tmp_path / "a.run")
    with pytest.raises(fl.RunError, match="is being written by another"):
        fl.open_run(tmp_path / "link.run").resume(epochs=9, progress=False)
    release()
    assert fl.open_run(tmp_path / "link.run").resume(epochs=9, progress=False).last.epoch == 9


def test_a_stream_that_fails_on_its_way(tmp_path, reference):
    """What was trained until then is in the file, and gone on with."""
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
            states.close()  # who asks for no more of them
        assert len(fl.open_run(path).rows) == 8
        assert fingerprint(fl.open_run(path).resume(epochs=12, progress=False).last) == reference[12]


def test_states_that_are_not_an_epoch_apart_are_refused(tmp_path):
    """Steps, and epochs of which some are left out: from their file they could not be had again."""
    trainer, train, validation = tiny()
    for name, stream in (
        ("steps", fl.steps(trainer, train, validation)),
        ("thinned", fl.every(2, fl.epochs(trainer, train, validation))),
    ):
        with pytest.raises(ValueError, match=r"states must be an epoch apart, as those of fl.epochs are"):
            fl.last(fl.record(tmp_path / name, trainer, train, validation, take(9, stream)))
