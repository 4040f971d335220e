"""Broken losses: the law finds each fault, and its error has the name of the law and the counterexample."""

import numpy as np
import pytest

from fnloop import testing as laws
from fnloop.core.records import frozen
from fnloop.losses import Loss
from tests.testing.finding import assert_found, found


def squared(reduce):
    """Return the squared error with another gradient or value: `reduce(error) -> (losses, gradient)`."""

    @frozen
    class Squared(Loss):
        def forward(self, outputs, targets):
            losses, gradient = reduce(outputs - targets.reshape(outputs.shape))
            return losses, lambda: gradient

    return Squared()


LOSSES = [
    (squared(lambda e: ((e**2).mean(1), 2 * e / e.shape[1])), "mean over examples", ["the gradient of example 0, times N"]),
    (squared(lambda e: ((e**2).mean(1), e / e.size)), "gradient = central differences", ["relative error: 0.4999"]),
    (squared(lambda e: ((e**2).mean(), 2 * e / e.size)), "contract", ["at losses", "expected: (1,)"]),
    (squared(lambda e: ((e**2).mean(1) / len(e), 2 * e / e.size)), "mean over examples", ["the loss of example 0"]),
    (squared(lambda e: (np.log(np.exp(e**2).mean(1)), 2 * e / len(e))), "finite", ["losses: array([inf"]),
]


@pytest.mark.parametrize(("loss", "law", "parts"), LOSSES, ids=["sum", "half", "scalar", "divided", "overflow"])
def test_broken_losses(loss, law, parts):
    """A gradient of the sum, half a gradient, one loss for all examples, a loss divided by N, an overflow."""
    assert_found(found(laws.check_loss, loss, 1, np.array([0.5, 1.0])), law, *parts)
