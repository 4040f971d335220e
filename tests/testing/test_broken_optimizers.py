"""Broken optimizers: a law finds each fault, and its error has the name of the law and the counterexample."""

from typing import Any

import numpy as np
import pytest

import fnloop as fl
from fnloop import testing as laws
from fnloop.core.records import evolve, frozen
from fnloop.optimizers import Elementwise
from tests.testing.finding import assert_found, found


@frozen
class MutatesItsInput(Elementwise):
    def update(self, gradient, state, vector):
        gradient *= 2
        return gradient.copy(), evolve(state, count=state.count + 1)


@frozen
class DependsOnTheBlock(Elementwise):
    """Subtracts the mean of its block."""

    def kernel(self, gradient, slots, params, scalars):
        return gradient - gradient.mean(), ()


@frozen
class DependsOnTheOrder(Elementwise):
    """Multiplies each element by its index in the block."""

    def kernel(self, gradient, slots, params, scalars):
        return gradient * np.arange(len(gradient), dtype=gradient.dtype), ()


class KeepsHiddenMomentum(Elementwise):
    def __init__(self):
        self.momentum = 0.0

    def kernel(self, gradient, slots, params, scalars):
        self.momentum = 0.9 * self.momentum + gradient
        return self.momentum, ()


@frozen
class Widens(Elementwise):
    def update(self, gradient, state, vector):
        return gradient * np.float64(1.0), evolve(state, count=state.count + 1)


@frozen
class KeepsWritable(Elementwise):
    def update(self, gradient, state, vector):
        return gradient * gradient.dtype.type(1), Slots(gradient.copy())

    def init(self, vector):
        return Slots(np.zeros_like(vector))


@frozen
class Slots:
    slots: Any


@frozen
class NumPyOnly(Elementwise):
    """Cannot be traced by JAX."""

    def kernel(self, gradient, slots, params, scalars):
        return np.asarray(gradient, gradient.dtype), ()


@frozen
class DiffersOnJax(Elementwise):
    """Computes something else for JAX arrays."""

    def kernel(self, gradient, slots, params, scalars):
        return (gradient if isinstance(gradient, np.ndarray) else 2 * gradient), ()


@frozen
class LosesNonFinite(Elementwise):
    """Sets `keeps_non_finite`, but keeps a sign, which is finite."""

    slots = ("m",)
    keeps_non_finite = True

    def kernel(self, gradient, slots, params, scalars):
        sign = gradient.__array_namespace__().sign(gradient)
        return sign, (sign,)


OPTIMIZERS = [
    (MutatesItsInput(), "purity", ["for gradients = array([[1.]]", "at gradient[0]", "before: 1.0", "after: 4.0"]),
    (DependsOnTheBlock(), "blocks", ["in one block", "in two, cut at 1"]),
    (DependsOnTheOrder(), "blocks", ["for cut = 1", "in one block"]),
    (LosesNonFinite(), "keeps non-finite", ["for gradients = ", "for bad = nan", "final slots: "]),
    (KeepsHiddenMomentum(), "contract", ["for gradients = ", "raised: "]),
    (Widens(), "contract", ["direction: array", "float32"]),
    (KeepsWritable(), "contract", ["at slots:", "writable array"]),
    (NumPyOnly(), "engines agree", ["NumPyOnly() cannot be traced by JAX"]),
    (DiffersOnJax(), "engines agree", ["at params.vector[", "numpy: ", "jax: "]),
]


@pytest.mark.parametrize(("optimizer", "law", "parts"), OPTIMIZERS, ids=lambda value: type(value).__name__)
def test_broken_optimizers(optimizer, law, parts):
    """Arguments written to, hidden memory, results that depend on block, order or engine, a wrong declaration."""
    assert_found(found(laws.check_optimizer, optimizer, engine="jax"), law, *parts)


class ForgetsWhenCopied:
    """Counts states; the same call gives the same result as long as its state object exists."""

    def __init__(self):
        self.seen = {}

    def init(self, vector):
        return fl.optimizers.OptimizerState(0, ())

    def update(self, gradient, state, vector):
        scale = self.seen.setdefault(id(state), 1.0 + len(self.seen))
        return gradient * scale, fl.optimizers.OptimizerState(state.count + 1, ())


def test_a_hidden_cache():
    """An optimizer that breaks a law only sometimes is found, by the first law that it breaks."""
    assert found(laws.check_optimizer, ForgetsWhenCopied()).law in {
        "purity",
        "resume = uninterrupted run",
        "no global random state",
    }


class RemembersByCount:
    """Keeps momentum outside the state, by update number."""

    def __init__(self):
        self.m = {0: 0.0}

    def init(self, vector):
        return fl.optimizers.OptimizerState(0, ())

    def update(self, gradient, state, vector):
        before = self.m[state.count] if state.count else np.zeros_like(gradient)
        self.m[state.count + 1] = before * gradient.dtype.type(0.5) + gradient
        return self.m[state.count + 1].copy(), fl.optimizers.OptimizerState(state.count + 1, ())


def test_a_hidden_momentum():
    """It is found by the other run between."""
    error = found(laws.check_optimizer, RemembersByCount())
    assert_found(
        error, "resume = uninterrupted run", "for gradients = ", "for cut = 0", "the whole run: ", "the resumed run: "
    )
