"""Broken steps: the law finds each fault, names itself, and shows the counter-example."""

import itertools
import random
from typing import Any

import numpy as np
import pytest

import fnloop as fl
from fnloop import testing as laws
from fnloop.core.arrays import Array, read_only
from fnloop.core.records import frozen
from fnloop.optimizers import Elementwise
from fnloop.testing.catalog import dataset
from tests.testing.finding import assert_found, found


@frozen
class Weights:
    """A user's own state."""

    w: Array
    n: int = 0
    stop_reason: str | None = None


START, BATCHES = Weights(np.ones(2)), [np.array([0.5, 1.0]), np.array([1.0, -1.0])]


def good(state, batch):
    return state if state.stop_reason else Weights(read_only(state.w - 0.1 * batch), state.n + 1)


def draws_globally(state, batch):
    return Weights(state.w + np.random.normal(size=2), state.n + 1)  # noqa: NPY002


def reads_globally(state, batch):
    """Puts the generator back, but is moved by it."""
    before = random.getstate()
    drawn = random.random()
    random.setstate(before)
    return Weights(state.w + drawn, state.n + 1)


def writes_its_batch(state, batch):
    batch -= 1
    return Weights(state.w - batch, state.n + 1)


def writes_its_state(state, batch):
    state.w[...] = 0
    return state


def counter():
    calls = itertools.count()
    return lambda state, batch: Weights(state.w * 0.5, next(calls))


def cache():
    """Keeps the running mean of what it sees."""
    seen = []

    def step(state, batch):
        seen.append(batch)
        return Weights(read_only(state.w - np.mean(seen, 0)), state.n + 1)

    return step


@frozen
class Holder:
    held: Any


def shares(state, batch):
    """Goes on in the same array, which nothing froze."""
    state.held.append(float(batch[0]))
    return Holder(state.held)


def moves_what_stopped(state, batch):
    return Weights(state.w - batch, state.n + 1, "no improvement" if state.n else None)


def hands_out_writable(state, batch):
    return Holder(state.held - batch)


def keeps_a_set(state, batch):
    return Holder(set(batch))


def memory():
    """Keeps the running sum by the number of the step: the same call again finds it."""
    sums = {0: 0.0}

    def step(state, batch):
        sums[state.n + 1] = sums[state.n] + batch
        return Weights(state.w - sums[state.n + 1], state.n + 1)

    return step


def two_buffers():
    """Writes each step over the last but one."""
    buffers = itertools.cycle([np.zeros(2), np.zeros(2)])

    def step(state, batch):
        into = next(buffers)
        if np.shares_memory(into, state.held):
            into = next(buffers)
        np.subtract(state.held, batch, out=into)
        view = into[:]
        view.flags.writeable = False
        return Holder(view)

    return step


def keeps_a_function(state, batch):
    return Holder(max)


STEPS = [
    (memory(), START, "fold law", ["for cut = 1", "at w[0]", "at once", "in two parts, cut at 1"]),
    (two_buffers(), Holder(read_only(np.zeros(2))), "snapshots stay", ["at state.held[", "before: ", "afterwards: "]),
    (keeps_a_function, Holder(0), "resume = whole", ["held cannot be written to a file"]),
    (keeps_a_set, Holder(None), "purity", ["a record may hold", "{np.float64(0.5)"]),
    (
        draws_globally,
        START,
        "no global random state",
        ["for batches = [array([0.5, 1. ])]", "numpy.random's global generator"],
    ),
    (reads_globally, START, "no global random state", ["with generators seeded 0", "with generators seeded 1"]),
    (writes_its_batch, START, "purity", ["at batch[0]:", "before: 0.5", "afterwards: -1.5"]),
    (writes_its_state, START, "purity", ["assignment destination is read-only"]),
    (counter(), START, "purity", ["at n:", "once", "again"]),
    (cache(), START, "purity", ["at w["]),
    (shares, Holder([]), "purity", ["at state.held"]),
    (moves_what_stopped, START, "stopped is absorbing", ["the stopped state", "after a step"]),
    (hands_out_writable, Holder(np.ones(2)), "frozen states", ["at held:"]),
]


@pytest.mark.parametrize(("step", "state", "law", "parts"), STEPS, ids=lambda value: getattr(value, "__name__", None))
def test_broken_steps(step, state, law, parts):
    """Global randomness, arguments written to, hidden counters and caches, stopped states that move."""
    assert_found(found(laws.check_step, step, state, BATCHES), law, *parts)


def test_a_sound_step_of_a_users_own():
    """Over a record of its own, with a stopped state."""
    laws.check_step(good, START, BATCHES, stopped=Weights(np.ones(2), 3, "finished"))


def test_a_trainer_with_a_broken_part():
    """The step of a trainer whose optimizer counts in secret."""
    calls = itertools.count(1)

    @frozen
    class Restless(Elementwise):
        def kernel(self, gradient, slots, params, scalars):
            return gradient * gradient.dtype.type(1 + next(calls) % 5), ()

    trainer = fl.Trainer(model=fl.mlp([3, 2]), loss=fl.losses.MeanSquaredError(), optimizer=Restless())
    assert_found(found(laws.check_trainer, trainer, dataset("mse", 6)), "purity", "at params.vector[0]")


def test_a_check_leaves_the_global_generators():
    """It seeds them for its law, and puts them back."""
    before = random.getstate(), np.random.get_state(legacy=True)  # noqa: NPY002
    laws.check_step(good, START, BATCHES, max_examples=5)
    assert_found(found(laws.check_step, draws_globally, START, BATCHES), "no global random state")
    assert fl.same_bits((random.getstate(), np.random.get_state(legacy=True)), before)  # noqa: NPY002
