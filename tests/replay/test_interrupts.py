"""Ctrl-C, wherever it comes: nothing waits for ever, and the file holds what was handed over."""

import sys
import threading
from itertools import count
from types import SimpleNamespace

import pytest
from toolz import take

import fnloop as fl
from fnloop.runs import writer
from fnloop.runs.writer import Writer
from tests.replay.ground import tiny

EPOCHS = 3


class Interrupted(KeyboardInterrupt):
    """Raised behind so many events of tracing, in a method or in what it calls."""


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
    trainer, train, validation = tiny()
    for events in count(1):
        path, ended = tmp_path / f"{events}.run", []

        def train_and_exit(path=path, ended=ended, events=events):
            states = fl.record(path, trainer, train, validation)(take(EPOCHS + 1, fl.epochs(trainer, train, validation)))
            shown = interrupt_behind(events, method, call, states)
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
