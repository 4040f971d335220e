"""Broken optimizers: the law finds each fault, names itself, and shows the counter-example."""

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
    """Subtracts the mean of the block that it happens to see."""

    def kernel(self, gradient, slots, params, scalars):
        return gradient - gradient.mean(), ()


@frozen
class DependsOnTheOrder(Elementwise):
    """Nothing stands before the first element; each other has the one before it."""

    def kernel(self, gradient, slots, params, scalars):
        return gradient * np.arange(len(gradient), dtype=gradient.dtype), ()


class RemembersInSecret(Elementwise):
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
class NumPyAlone(Elementwise):
    """What JAX cannot trace."""

    def kernel(self, gradient, slots, params, scalars):
        return np.asarray(gradient, gradient.dtype), ()


@frozen
class OtherOnJax(Elementwise):
    """Not the same function of another namespace's arrays."""

    def kernel(self, gradient, slots, params, scalars):
        return (gradient if isinstance(gradient, np.ndarray) else 2 * gradient), ()


@frozen
class HidesWhatIsNotFinite(Elementwise):
    """Keeps a sign, and says that it keeps what is not finite."""

    slots = ("m",)
    keeps_non_finite = True

    def kernel(self, gradient, slots, params, scalars):
        sign = gradient.__array_namespace__().sign(gradient)
        return sign, (sign,)


OPTIMIZERS = [
    (MutatesItsInput(), "purity", ["for gradients = array([[1.]]", "at gradient[0]", "before: 1.0", "afterwards: 4.0"]),
    (DependsOnTheBlock(), "blocks", ["in one block", "in two, cut at 1"]),
    (DependsOnTheOrder(), "blocks", ["for cut = 1", "in one block"]),
    (HidesWhatIsNotFinite(), "keeps non-finite", ["for gradients = ", "for bad = nan", "finite in the end: "]),
    (RemembersInSecret(), "contract", ["for gradients = ", "raised: "]),
    (Widens(), "contract", ["direction: array", "float32"]),
    (KeepsWritable(), "contract", ["at slots:", "an array that can be written"]),
    (NumPyAlone(), "both engines", ["NumPyAlone() cannot be traced by JAX"]),
    (OtherOnJax(), "both engines", ["at params.vector[", "numpy: ", "jax: "]),
]


@pytest.mark.parametrize(("optimizer", "law", "parts"), OPTIMIZERS, ids=lambda value: type(value).__name__)
def test_broken_optimizers(optimizer, law, parts):
    """Arguments written to, memory that is no state, results of block, order or engine, a word that is not kept."""
    assert_found(found(laws.check_optimizer, optimizer, engine="jax"), law, *parts)


class ForgetsWhenCopied:
    """Counts in itself; the same call again gives the same, as long as the state is not a newer one."""

    def __init__(self):
        self.seen = {}

    def init(self, vector):
        return fl.optimizers.OptimizerState(0, ())

    def update(self, gradient, state, vector):
        scale = self.seen.setdefault(id(state), 1.0 + len(self.seen))
        return gradient * scale, fl.optimizers.OptimizerState(state.count + 1, ())


def test_a_hidden_cache():
    """An optimizer that breaks laws only now and then is found, by whichever law it breaks first."""
    assert found(laws.check_optimizer, ForgetsWhenCopied()).law in {"purity", "resume = whole", "no global random state"}


class RemembersByCount:
    """Momentum, kept by the number of the update."""

    def __init__(self):
        self.m = {0: 0.0}

    def init(self, vector):
        return fl.optimizers.OptimizerState(0, ())

    def update(self, gradient, state, vector):
        before = self.m[state.count] if state.count else np.zeros_like(gradient)
        self.m[state.count + 1] = before * gradient.dtype.type(0.5) + gradient
        return self.m[state.count + 1].copy(), fl.optimizers.OptimizerState(state.count + 1, ())


def test_a_hidden_momentum():
    """Found by the run between."""
    error = found(laws.check_optimizer, RemembersByCount())
    assert_found(error, "resume = whole", "for gradients = ", "for cut = 0", "the whole run: ", "gone on with: ")
