"""Broken steps: a law finds each fault, and its error has the name of the law and the counterexample."""

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
    """A custom state."""

    w: Array
    n: int = 0
    stop_reason: str | None = None


START, BATCHES = Weights(np.ones(2)), [np.array([0.5, 1.0]), np.array([1.0, -1.0])]


def good(state, batch):
    return state if state.stop_reason else Weights(read_only(state.w - 0.1 * batch), state.n + 1)


def draws_from_global_state(state, batch):
    return Weights(state.w + np.random.normal(size=2), state.n + 1)  # noqa: NPY002


def reads_global_state(state, batch):
    """Restores the generator, but depends on it."""
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
    """Keeps the running mean of all batches."""
    seen = []

    def step(state, batch):
        seen.append(batch)
        return Weights(read_only(state.w - np.mean(seen, 0)), state.n + 1)

    return step


@frozen
class AnyState:
    value: Any


def shares(state, batch):
    """Appends to the same list in every state."""
    state.value.append(float(batch[0]))
    return AnyState(state.value)


def changes_stopped_states(state, batch):
    return Weights(state.w - batch, state.n + 1, "no improvement" if state.n else None)


def returns_writable_arrays(state, batch):
    return AnyState(state.value - batch)


def keeps_a_set(state, batch):
    return AnyState(set(batch))


def memory():
    """Keeps the running sum by step number, so that the same call gives the same result."""
    sums = {0: 0.0}

    def step(state, batch):
        sums[state.n + 1] = sums[state.n] + batch
        return Weights(state.w - sums[state.n + 1], state.n + 1)

    return step


def two_buffers():
    """Each step overwrites the state before the last."""
    buffers = itertools.cycle([np.zeros(2), np.zeros(2)])

    def step(state, batch):
        into = next(buffers)
        if np.shares_memory(into, state.value):
            into = next(buffers)
        np.subtract(state.value, batch, out=into)
        view = into[:]
        view.flags.writeable = False
        return AnyState(view)

    return step


def keeps_a_function(state, batch):
    return AnyState(max)


STEPS = [
    (memory(), START, "fold law", ["for cut = 1", "at w[0]", "at once", "in two parts, cut at 1"]),
    (two_buffers(), AnyState(read_only(np.zeros(2))), "snapshots never change", ["at state.value[", "before: ", "after: "]),
    (keeps_a_function, AnyState(0), "resume = uninterrupted run", ["value cannot be written to a file"]),
    (keeps_a_set, AnyState(None), "purity", ["a record may hold", "{np.float64(0.5)"]),
    (
        draws_from_global_state,
        START,
        "no global random state",
        ["for batches = [array([0.5, 1. ])]", "the global generator of numpy.random"],
    ),
    (reads_global_state, START, "no global random state", ["with generators seeded 0", "with generators seeded 1"]),
    (writes_its_batch, START, "purity", ["at batch[0]:", "before: 0.5", "after: -1.5"]),
    (writes_its_state, START, "purity", ["assignment destination is read-only"]),
    (counter(), START, "purity", ["at n:", "once", "again"]),
    (cache(), START, "purity", ["at w["]),
    (shares, AnyState([]), "purity", ["at state.value"]),
    (changes_stopped_states, START, "stopped is absorbing", ["the stopped state", "after a step"]),
    (returns_writable_arrays, AnyState(np.ones(2)), "frozen states", ["at value:"]),
]


@pytest.mark.parametrize(("step", "state", "law", "parts"), STEPS, ids=lambda value: getattr(value, "__name__", None))
def test_broken_steps(step, state, law, parts):
    """Global randomness, arguments written to, hidden counters and caches, stopped states that change."""
    assert_found(found(laws.check_step, step, state, BATCHES), law, *parts)


def test_a_correct_custom_step():
    """With a custom record as state, and a stopped state."""
    laws.check_step(good, START, BATCHES, stopped=Weights(np.ones(2), 3, "finished"))


def test_a_trainer_with_a_broken_part():
    """An optimizer that counts its calls."""
    calls = itertools.count(1)

    @frozen
    class CountsCalls(Elementwise):
        def kernel(self, gradient, slots, params, scalars):
            return gradient * gradient.dtype.type(1 + next(calls) % 5), ()

    trainer = fl.Trainer(model=fl.mlp([3, 2]), loss=fl.losses.MeanSquaredError(), optimizer=CountsCalls())
    assert_found(found(laws.check_trainer, trainer, dataset("mse", 6)), "purity", "at params.vector[0]")


def test_a_check_restores_the_global_generators():
    """It seeds them to check its law."""
    before = random.getstate(), np.random.get_state(legacy=True)  # noqa: NPY002
    laws.check_step(good, START, BATCHES, max_examples=5)
    assert_found(found(laws.check_step, draws_from_global_state, START, BATCHES), "no global random state")
    assert fl.same_bits((random.getstate(), np.random.get_state(legacy=True)), before)  # noqa: NPY002
