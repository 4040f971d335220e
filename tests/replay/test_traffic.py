"""Readers, writers, forks and threads at once: none of them fails, whatever the others do."""

import os
import random
import signal
import threading
import traceback
from contextlib import contextmanager
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from time import monotonic, sleep

import pytest
from toolz import take

import fnloop as fl
from fnloop.runs import writer
from tests.replay.support import fingerprint, tiny

EPOCHS = 12
FORK = get_context("fork")

pytestmark = pytest.mark.filterwarnings(r"ignore:os.fork\(\) was called:RuntimeWarning")  # by JAX, if another test imported it


def record(path, reference, seconds, **options):
    """Record a part of the run, and resume it; each time in a few transactions."""
    trainer, *data = tiny()
    stream = fl.record(path, trainer, *data, snapshot_every=2, **options)(take(EPOCHS // 2, fl.epochs(trainer, *data)))
    for _ in stream:
        sleep(seconds)
    stream.close()
    assert stream.failure is None, stream.failure
    run = fl.open_run(path).resume(epochs=EPOCHS, progress=False)
    assert fingerprint(run.last) == reference[EPOCHS]


def write(path, reference, until, draw):
    """Record, resume, prune and overwrite a run again and again."""
    for monitor in cycle(["loss", "val_loss"]):  # so that the next run is another one
        if monotonic() > until:
            break
        record(path, reference, draw.choice([0, 0.002, 0.01]), overwrite=True, monitor=monitor)
        fl.open_run(path).prune(draw.choice([1, 4]))


def read(path, reference, until, draw):
    """Poll a run without a pause; what is read is always the recorded run, as far as it got."""
    while monotonic() < until:
        with suppressing_overwritten():
            run = fl.open_run(path)
            positions = [row.position for row in run.rows]
            assert positions == list(range(len(positions)))
            if draw.random() < 0.05:
                epoch = draw.randrange(len(positions))
                assert fingerprint(run.state(epoch)) == reference[epoch]


@contextmanager
def suppressing_overwritten():
    """Suppress the error that a run was overwritten since it was opened."""
    try:
        yield
    except fl.RunError as error:
        if "another run than when it was opened" not in str(error):
            raise


def fork_and_read(path, reference, until, draw):
    """Record a run of its own, and fork processes meanwhile that read both runs."""
    own = f"{path}-{os.getpid()}.run"
    trainer, *data = tiny()
    for monitor in cycle(["loss", "val_loss"]):
        if monotonic() > until:
            break
        stream = fl.record(own, trainer, *data, overwrite=True, monitor=monitor)(take(EPOCHS, fl.epochs(trainer, *data)))
        next(stream)
        for _ in stream:
            if os.path.exists(own) and draw.random() < 0.3:
                run_all([(read, own, reference, 0, 2), (read, path, reference, 0, 1)])
        assert stream.failure is None, stream.failure


def read_in_threads(path, reference, until, draw):
    """Poll in three threads, two of which share a run."""
    errors = []

    def poll(run):
        while monotonic() < until and not errors:
            try:
                with suppressing_overwritten():
                    positions = [row.position for row in (run or fl.open_run(path)).rows]
                    assert positions == list(range(len(positions)))
                    continue
                run = run and fl.open_run(path)
            except BaseException as error:
                errors.append(error)

    shared = fl.open_run(path)
    threads = [threading.Thread(target=poll, args=[run]) for run in (shared, shared, None)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def killed(path, reference, until, draw):
    """Be killed while writing a run, again and again; what is left is read and resumed."""
    own = f"{path}-killed.run"
    while monotonic() < until:
        process = FORK.Process(target=quietly, args=[write, own, reference, until, draw.random()])
        process.start()
        sleep(draw.uniform(0.02, 0.4))
        process.kill()
        process.join()
        process.close()
        if os.path.exists(own):
            run = fl.open_run(own)
            epoch = run.rows[-1].epoch
            assert fingerprint(run.last) == reference[epoch]
            assert fingerprint(run.resume(epochs=EPOCHS, progress=False).last) == reference[EPOCHS]


def quietly(work, path, reference, until, seed):
    """Do some work in a forked process, whose status tells whether it was done."""
    signal.alarm(150)
    writer.PAUSE = 0.001
    try:
        work(path, reference, until, random.Random(seed))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def run_all(jobs):
    """Run jobs in processes at once: functions, paths, references, seconds and numbers of processes."""
    processes = [
        FORK.Process(target=quietly, args=[work, path, reference, monotonic() + seconds, number])
        for work, path, reference, seconds, count in jobs
        for number in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)


def traffic(folder, seconds):
    """Let everything happen at once for some seconds."""
    trainer, *data = tiny()
    reference = list(map(fingerprint, take(EPOCHS + 1, fl.epochs(trainer, *data))))
    path = Path(folder) / "a.run"
    record(path, reference, 0)
    jobs = [(write, 1), (read, 2), (fork_and_read, 1), (read_in_threads, 1), (killed, 1)]
    run_all([(work, path, reference, seconds, count) for work, count in jobs])
    run = fl.open_run(path)
    assert run.verify().ok
    assert [fingerprint(run.state(epoch)) for epoch in range(EPOCHS + 1)] == reference
    left = sorted(item.name for item in path.parent.iterdir() if "killed" not in item.name)
    assert left == ["a.run", *[name for name in left if name.startswith("a.run-") and name.endswith(".run")]]


@pytest.mark.thorough
def test_three_seconds_of_traffic(tmp_path):
    """A writer, readers, threads, forks and kills on one run."""
    traffic(tmp_path, 3)


@pytest.mark.thorough
def test_a_minute_of_traffic(tmp_path):
    """A writer, readers, threads, forks and kills on one run."""
    traffic(tmp_path, 60)
