"""Ctrl-C and other early ends: nothing waits forever, and the file has every state that was passed to the writer."""

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
from fnloop.runs.recorder import Recorder
from fnloop.runs.writer import Writer
from tests.replay.support import tiny

EPOCHS = 3


class Interrupted(KeyboardInterrupt):
    """Raised after a number of trace events in a method and the functions it calls."""


def recorded(path, epochs=EPOCHS):
    trainer, train, validation = tiny()
    return fl.record(path, trainer, train, validation)(take(epochs + 1, fl.epochs(trainer, train, validation)))


def interrupt_after(events, method, call, states):
    """Read a stream and interrupt the given call of a method after some trace events.

    Returns the last epoch that the stream gave, or None if it ended before the interrupt.
    """
    remaining, last, calls = events, 0, 0

    def trace(frame, event, argument):
        nonlocal remaining, calls
        if event == "call" and frame.f_code is method.__code__:
            calls += 1
        elif event == "call" and frame.f_back.f_trace is None:
            return None
        if calls == call:
            remaining -= 1
            if remaining == 0:
                sys.settrace(None)
                raise Interrupted
        return trace

    sys.settrace(trace)
    try:
        for state in states:
            last = state.epoch
    except Interrupted:
        return last
    finally:
        sys.settrace(None)
    return None


@pytest.mark.parametrize(("method", "call"), [(Writer.put, 2), (Writer.close, 1)], ids=["put", "close"])
def test_an_interrupt_at_every_line(tmp_path, monkeypatch, method, call):
    """At each call, line and return of the method in turn, also just after a lock is taken; then the process ends."""
    at_exit = []
    monkeypatch.setattr(writer, "atexit", SimpleNamespace(register=at_exit.append, unregister=at_exit.remove))
    for events in count(1):
        path, results = tmp_path / f"{events}.run", []

        def train_and_exit(path=path, results=results, events=events):
            last = interrupt_after(events, method, call, recorded(path))
            while at_exit:
                at_exit[0]()
            results.append(last)

        thread = threading.Thread(target=train_and_exit, daemon=True)
        thread.start()
        thread.join(30)
        assert results, f"waits forever, interrupted after {events} events"
        if results == [None]:
            break
        assert fl.open_run(path).rows[-1].epoch in (results[0], results[0] + 1)
        assert fl.open_run(path).verify().ok
        assert not at_exit
    assert events > 5


def closed_twice(path):
    """A background thread closes its file while the end of the process closes it too."""
    original, closing = Recorder.finish, threading.Event()
    Recorder.finish = lambda self: (closing.set(), time.sleep(1), original(self))
    threading.Thread(target=lambda: list(recorded(path)), daemon=True).start()
    closing.wait(30)


def forked(path):
    """A forked process has a copy of the writer without its thread."""
    states = recorded(path)
    next(states)
    child = os.fork()
    if child == 0:
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    list(states)


def closed_by_its_own_thread(path):
    """The garbage collector closes the stream in the writer's thread."""
    original, states = Recorder.flush, [recorded(path)]
    for _ in range(EPOCHS + 1):
        next(states[0])
    Recorder.flush = lambda self: (states and states.pop().close(), original(self))
    time.sleep(1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("end", [closed_twice, forked, closed_by_its_own_thread], ids=lambda end: end.__name__)
def test_the_end_of_a_process_writes_all_states(tmp_path, end):
    """However the stream is closed."""
    path = str(tmp_path / "a.run")
    command = [sys.executable, "-c", f"from tests.replay.test_interrupts import {end.__name__}; {end.__name__}({path!r})"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert fl.open_run(path).rows[-1].epoch == EPOCHS
    assert fl.open_run(path).verify().ok


def test_the_lock_is_held_until_the_thread_ends(tmp_path, monkeypatch):
    """Also if waiting for the thread is interrupted."""
    path, resume, once = tmp_path / "a.run", threading.Event(), [KeyboardInterrupt]
    finish, wait = Recorder.finish, Writer._wait
    list(recorded(path))

    def interrupted(self):
        if once:
            raise once.pop()
        wait(self)

    monkeypatch.setattr(Recorder, "finish", lambda self: (resume.wait(30), finish(self)))
    monkeypatch.setattr(Writer, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fl.open_run(path).resume(epochs=EPOCHS + 2, progress=False)
    with pytest.raises(fl.RunError, match="being written by another"):
        fl.open_run(path).resume(epochs=EPOCHS + 4, progress=False)
    resume.set()
    for _ in range(300):
        if not (tmp_path / "a.run-lock").exists():
            break
        time.sleep(0.1)
    assert fl.open_run(path).resume(epochs=EPOCHS + 4, progress=False).rows[-1].epoch == EPOCHS + 4


def test_an_interrupted_fit_reports_a_failed_recording(tmp_path, monkeypatch):
    """If Ctrl-C comes between two states, in the loop that reads them."""

    def interrupt(best, state, *options):
        if state.epoch == EPOCHS:
            raise KeyboardInterrupt
        return state

    def fails(self, *row):
        raise OSError("disk full")

    trainer, train, validation = tiny()
    monkeypatch.setattr(Recorder, "add", fails)
    monkeypatch.setattr(writer, "PAUSE", 5)
    monkeypatch.setattr(sys.modules["fnloop.fitting.run"], "update_best", interrupt)
    with pytest.warns(fl.RecordingWarning, match="disk full"):
        result = fl.fit(trainer, train, validation, epochs=9, record=tmp_path / "a.run", progress=False)
    assert result.stop_reason == "interrupted"
    assert "disk full" in result.record_failure


@pytest.mark.parametrize("error", [SystemExit, MemoryError])
@pytest.mark.parametrize("limit", [1, 1 << 28])
def test_any_error_of_the_thread_is_a_warning_in_training(tmp_path, monkeypatch, error, limit):
    """Also while the queue is full; every state is trained."""

    def fails(self, *row):
        raise error("the cause")

    monkeypatch.setattr(Recorder, "add", fails)
    monkeypatch.setattr(writer, "MAX_QUEUED_BYTES", limit)
    with pytest.warns(fl.RecordingWarning, match="the cause"):
        assert len(list(recorded(tmp_path / "a.run", 20))) == 21


def test_an_interrupt_while_the_file_is_closed_keeps_the_fit(tmp_path, monkeypatch):
    """The fit is returned, and the thread finishes the file."""
    once, wait = [KeyboardInterrupt], Writer._wait

    def interrupted(self):
        if once:
            raise once.pop()
        wait(self)

    trainer, train, validation = tiny()
    monkeypatch.setattr(Writer, "_wait", interrupted)
    result = fl.fit(trainer, train, validation, epochs=EPOCHS, record=tmp_path / "a.run", progress=False)
    assert (result.stop_reason, result.last.epoch) == ("interrupted", EPOCHS)
    for _ in range(300):
        if not (tmp_path / "a.run-lock").exists():
            break
        time.sleep(0.1)
    assert fl.open_run(tmp_path / "a.run").rows[-1].epoch == EPOCHS
