"""Broken schedules: the law finds each fault, names itself, and shows the counter-example."""

import random
from typing import Any

import numpy as np
import pytest

from fnloop import testing as laws
from fnloop.core.records import frozen
from fnloop.schedulers import SchedulerState
from tests.testing.finding import assert_found, found


@frozen
class Schedule:
    """A user's schedule that keeps every law; those below each break one."""

    def init(self):
        return SchedulerState(0, self(0))

    def step(self, state, metrics=None):
        return SchedulerState(state.t + 1, float(0.1 * 0.5 ** (state.t + 1)))

    def __call__(self, t):
        return 0.1 * 0.5**t if isinstance(t, int) else 0.1 * 0.5 ** np.asarray(t, float)


@frozen
class OffByOne(Schedule):
    def step(self, state, metrics=None):
        return SchedulerState(state.t + 1, self(state.t))


@frozen
class WrongOnArrays(Schedule):
    def __call__(self, t):
        return 0.1 * 0.5**t if isinstance(t, int) else 0.1 * 0.5 ** np.asarray(t + 1, float)


class Mutable:
    def __init__(self, lr):
        self.lr = lr


class ChangesItsState:
    def init(self):
        return Mutable(0.1)

    def step(self, state, metrics=None):
        state.lr *= 0.5
        return state


@frozen
class ArrayState:
    lr: float
    past: Any


class WritesIntoItsState:
    def init(self):
        return ArrayState(0.1, np.zeros(1))

    def step(self, state, metrics=None):
        state.past[0] += 1
        return ArrayState(state.lr, state.past)


class CountsInSecret:
    def __init__(self):
        self.t = 0

    def init(self):
        return SchedulerState(0, 0.1)

    def step(self, state, metrics=None):
        self.t += 1
        return SchedulerState(state.t + 1, 0.1 / (1 + self.t))


@frozen
class Cell:
    """A state that keeps where it stands outside its fields' data."""

    lr: float
    place: Any


class KeepsFunctions:
    def init(self):
        return Cell(0.1, abs)

    def step(self, state, metrics=None):
        return Cell(state.lr * 0.5, abs)


class RemembersByTime:
    """The same call again finds what it left there; another run leaves something else."""

    metric = "val_loss"

    def __init__(self):
        self.seen = {0: 1.0}

    def init(self):
        return SchedulerState(0, 0.1)

    def step(self, state, metrics=None):
        self.seen[state.t + 1] = metrics["val_loss"]
        return SchedulerState(state.t + 1, 0.1 if self.seen[state.t] > 0 else 0.05)


class Draws:
    def init(self):
        return SchedulerState(0, 0.1)

    def step(self, state, metrics=None):
        return SchedulerState(state.t + 1, random.uniform(0.1, 0.2))


@frozen
class GoesNegative(Schedule):
    def step(self, state, metrics=None):
        return SchedulerState(state.t + 1, 0.1 - 0.03 * (state.t + 1))


@frozen
class PoisonedByNaN:
    metric = "val_loss"

    def init(self):
        return SchedulerState(0, 0.1)

    def step(self, state, metrics=None):
        return SchedulerState(state.t + 1, state.lr * (1 + 0 * metrics["val_loss"]))


class RaisesOnInfinity:
    metric = "val_loss"

    def init(self):
        return SchedulerState(0, 0.1)

    def step(self, state, metrics=None):
        return SchedulerState(state.t + 1 + 0 * int(metrics["val_loss"]), 0.1)


class Count(int):
    """A number with a type of its own."""


class CountsInItsOwnWay:
    def init(self):
        return SchedulerState(Count(0), 0.1)

    def step(self, state, metrics=None):
        return SchedulerState(Count(state.t + 1), 0.1)


class NumPysNumber:
    def init(self):
        return SchedulerState(0, np.float64(0.1))

    def step(self, state, metrics=None):
        return SchedulerState(state.t + 1, np.float64(0.1))


SCHEDULERS = [
    (OffByOne(), "random access = step by step", ["for times = [1]", "state.lr at t = 1: 0.1", "scheduler(1): 0.05"]),
    (WrongOnArrays(), "random access = step by step", ["scheduler(0): 0.1", "scheduler([0])[0]: 0.05"]),
    (ChangesItsState(), "contract", ["a record may hold", "Mutable"]),
    (WritesIntoItsState(), "contract", ["at past:", "an array that can be written: array([0.])"]),
    (CountsInSecret(), "purity", ["at lr:", "step once: ", "step again: "]),
    (KeepsFunctions(), "resume = whole", ["place cannot be written to a file"]),
    (
        RemembersByTime(),
        "resume = whole",
        ["for history = ", "the whole run: 0.", "gone on with from t = "],
    ),
    (Draws(), "no global random state", ["random's global generator"]),
    (GoesNegative(), "rates", ["at t = 4:", "lr: -0.0"]),
    (PoisonedByNaN(), "rates", ["nan"]),
    (RaisesOnInfinity(), "contract", ["{'val_loss': ", "raised: "]),
    (CountsInItsOwnWay(), "resume = whole", ["gone on with from t = 0"]),
]


@pytest.mark.parametrize(("scheduler", "law", "parts"), SCHEDULERS, ids=lambda value: type(value).__name__)
def test_broken_schedulers(scheduler, law, parts):
    """Off by one, states that change or are no data, hidden counters, global randomness, rates that are none."""
    assert_found(found(laws.check_scheduler, scheduler), law, *parts)


def test_the_schedule_that_they_are_made_of_is_sound():
    """So each fault above is the one that is found."""
    laws.check_scheduler(Schedule())
    laws.check_scheduler(NumPysNumber())
