"""Ctrl-C, and other ends that come between: nothing waits for ever, and the file holds what was handed over."""

import os
import subprocess
import sys
import threading
import time
from itertools import count
from types import SimpleNamespace

import pytest
from toolz import take

import fnloop as fl
from fnloop.runs import writer
from fnloop.runs.writer import Writer
from tests.replay.support import tiny

EPOCHS = 3


class Interrupted(KeyboardInterrupt):
    """Raised behind so many events of tracing, in a method or in what it calls."""


def recorded(path, epochs=EPOCHS):
    trainer, train, validation = tiny()
    return fl.record(path, trainer, train, validation)(take(epochs + 1, fl.epochs(trainer, train, validation)))


def interrupt_behind(events, method, call, states):
    """Take a stream, interrupt that call of the method there: the epochs that were shown, or None if it ended before."""
    left, shown, calls = events, 0, 0

    def trace(frame, event, argument):
        nonlocal left, calls
        if event == "call" and frame.f_code is method.__code__:
            calls += 1
        elif event == "call" and frame.f_back.f_trace is None:
            return None
        if calls == call:
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise Interrupted
        return trace

    sys.settrace(trace)
    try:
        for state in states:
            shown = state.epoch
    except Interrupted:
        return shown
    finally:
        sys.settrace(None)
    return None


@pytest.mark.parametrize(("method", "call"), [(Writer.put, 2), (Writer.close, 1)], ids=["put", "close"])
def test_an_interrupt_anywhere(tmp_path, monkeypatch, method, call):
    """At each call, line and return in turn, also between a lock's being taken and its being noted; then the process ends."""
    at_exit = []
    monkeypatch.setattr(writer, "atexit", SimpleNamespace(register=at_exit.append, unregister=at_exit.remove))
    for events in count(1):
        path, ended = tmp_path / f"{events}.run", []

        def train_and_exit(path=path, ended=ended, events=events):
            shown = interrupt_behind(events, method, call, recorded(path))
            while at_exit:
                at_exit[0]()
            ended.append(shown)

        thread = threading.Thread(target=train_and_exit, daemon=True)
        thread.start()
        thread.join(30)
        assert ended, f"waits for ever, interrupted behind {events} events"
        if ended == [None]:
            break
        assert fl.open_run(path).rows[-1].epoch in (ended[0], ended[0] + 1)
        assert fl.open_run(path).verify().ok
        assert not at_exit
    assert events > 5


def two_that_close(path):
    """A thread of the background that trains is closing its file when the process ends, which closes it too."""
    original, closing = Writer._write_last_snapshots, threading.Event()
    Writer._write_last_snapshots = lambda own: (closing.set(), time.sleep(1), original(own))
    threading.Thread(target=lambda: list(recorded(path)), daemon=True).start()
    closing.wait(30)


def forked(path):
    """A fork of the process has no thread that writes."""
    states = recorded(path)
    next(states)
    child = os.fork()
    if child == 0:
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    list(states)


def closed_by_its_own_thread(path):
    """The garbage collector finds the stream there."""
    original, states = Writer._write_queue, [recorded(path)]
    for _ in range(EPOCHS + 1):
        next(states[0])
    Writer._write_queue = lambda own: (states and states.pop().close(), original(own))
    time.sleep(1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("end", [two_that_close, forked, closed_by_its_own_thread], ids=lambda end: end.__name__)
def test_a_process_ends(tmp_path, end):
    """With all that was handed over in the file."""
    path = str(tmp_path / "a.run")
    command = [sys.executable, "-c", f"from tests.replay.test_interrupts import {end.__name__}; {end.__name__}({path!r})"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert fl.open_run(path).rows[-1].epoch == EPOCHS
    assert fl.open_run(path).verify().ok


def test_the_lock_is_held_while_the_thread_writes_and_no_longer(tmp_path, monkeypatch):
    """Also where the wait for it is interrupted."""
    path, go_on, once = tmp_path / "a.run", threading.Event(), [KeyboardInterrupt]
    write_ends, wait = Writer._write_last_snapshots, Writer._wait
    list(recorded(path))

    def interrupted(own):
        if once:
            raise once.pop()
        wait(own)

    monkeypatch.setattr(Writer, "_write_last_snapshots", lambda own: (go_on.wait(30), write_ends(own)))
    monkeypatch.setattr(Writer, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fl.open_run(path).resume(epochs=EPOCHS + 2, progress=False)
    with pytest.raises(fl.RunError, match="being written by another"):
        fl.open_run(path).resume(epochs=EPOCHS + 4, progress=False)
    go_on.set()
    for _ in range(300):
        if not (tmp_path / "a.run-lock").exists():
            break
        time.sleep(0.1)
    assert fl.open_run(path).resume(epochs=EPOCHS + 4, progress=False).rows[-1].epoch == EPOCHS + 4


def test_an_interrupted_fit_says_that_it_could_not_be_recorded(tmp_path, monkeypatch):
    """Where Ctrl-C comes between two states, in the loop that takes them."""

    def keep(found, state, *how):
        if state.epoch == EPOCHS:
            raise KeyboardInterrupt
        return state

    def fails(own, *row):
        raise OSError("disk full")

    trainer, train, validation = tiny()
    monkeypatch.setattr(Writer, "_write", fails)
    monkeypatch.setattr(writer, "PAUSE", 5)
    monkeypatch.setattr(sys.modules["fnloop.fitting"], "update_best", keep)
    with pytest.warns(fl.RecordingWarning, match="disk full"):
        result = fl.fit(trainer, train, validation, epochs=9, record=tmp_path / "a.run", progress=False)
    assert result.stop_reason == "interrupted"
    assert "disk full" in result.record_failure


@pytest.mark.parametrize("error", [SystemExit, MemoryError])
@pytest.mark.parametrize("limit", [1, 1 << 28])
def test_whatever_the_thread_ends_with_is_said_where_the_training_is(tmp_path, monkeypatch, error, limit):
    """Also where it waits for room; every state is trained."""

    def fails(own, *row):
        raise error("that")

    monkeypatch.setattr(Writer, "_write", fails)
    monkeypatch.setattr(writer, "MAX_QUEUED_BYTES", limit)
    with pytest.warns(fl.RecordingWarning, match="that"):
        assert len(list(recorded(tmp_path / "a.run", 20))) == 21


def test_a_signal_while_the_file_is_closed_keeps_the_fit(tmp_path, monkeypatch):
    """What was trained is returned; the file is finished in the background."""
    once, wait = [KeyboardInterrupt], Writer._wait

    def interrupted(own):
        if once:
            raise once.pop()
        wait(own)

    trainer, train, validation = tiny()
    monkeypatch.setattr(Writer, "_wait", interrupted)
    result = fl.fit(trainer, train, validation, epochs=EPOCHS, record=tmp_path / "a.run", progress=False)
    assert (result.stop_reason, result.last.epoch) == ("interrupted", EPOCHS)
    for _ in range(300):
        if not (tmp_path / "a.run-lock").exists():
            break
        time.sleep(0.1)
    assert fl.open_run(tmp_path / "a.run").rows[-1].epoch == EPOCHS
