"""Broken schedules: a law finds each fault, and its error has the name of the law and the counterexample."""

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
    """A custom schedule that keeps every law; each class below breaks one."""

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


class CountsInternally:
    def __init__(self):
        self.t = 0

    def init(self):
        return SchedulerState(0, 0.1)

    def step(self, state, metrics=None):
        self.t += 1
        return SchedulerState(state.t + 1, 0.1 / (1 + self.t))


@frozen
class FunctionState:
    """A state with a field that is not data."""

    lr: float
    function: Any


class KeepsFunctions:
    def init(self):
        return FunctionState(0.1, abs)

    def step(self, state, metrics=None):
        return FunctionState(state.lr * 0.5, abs)


class RemembersByTime:
    """Keeps metrics outside the state, by epoch: another run overwrites them."""

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
    """An integer of another type."""


class CountsWithAnotherType:
    def init(self):
        return SchedulerState(Count(0), 0.1)

    def step(self, state, metrics=None):
        return SchedulerState(Count(state.t + 1), 0.1)


class NumPyRate:
    def init(self):
        return SchedulerState(0, np.float64(0.1))

    def step(self, state, metrics=None):
        return SchedulerState(state.t + 1, np.float64(0.1))


SCHEDULERS = [
    (OffByOne(), "random access = step by step", ["for times = [1]", "state.lr at t = 1: 0.1", "scheduler(1): 0.05"]),
    (WrongOnArrays(), "random access = step by step", ["scheduler(0): 0.1", "scheduler([0])[0]: 0.05"]),
    (ChangesItsState(), "contract", ["cannot be written to a file", "Mutable"]),
    (WritesIntoItsState(), "contract", ["at past:", "writable array: array([0.])"]),
    (CountsInternally(), "purity", ["at lr:", "step: ", "step again: "]),
    (KeepsFunctions(), "resume = uninterrupted run", ["function cannot be written to a file"]),
    (
        RemembersByTime(),
        "resume = uninterrupted run",
        ["for history = ", "the whole run: 0.", "resumed from t = "],
    ),
    (Draws(), "no global random state", ["the global generator of random"]),
    (GoesNegative(), "rates", ["at t = 4:", "lr: -0.0"]),
    (PoisonedByNaN(), "rates", ["nan"]),
    (RaisesOnInfinity(), "contract", ["{'val_loss': ", "raised: "]),
    (CountsWithAnotherType(), "contract", ["t cannot be written to a file"]),
]


@pytest.mark.parametrize(("scheduler", "law", "parts"), SCHEDULERS, ids=lambda value: type(value).__name__)
def test_broken_schedulers(scheduler, law, parts):
    """Off by one, states that change or are not data, hidden memory, global randomness, invalid rates."""
    assert_found(found(laws.check_scheduler, scheduler), law, *parts)


def test_their_base_keeps_every_law():
    """So that the fault in each class above is what the law finds."""
    laws.check_scheduler(Schedule())
    laws.check_scheduler(NumPyRate())
