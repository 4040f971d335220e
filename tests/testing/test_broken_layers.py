"""Broken layers: the law finds each fault, names itself, and shows the counter-example."""

import re

import numpy as np
import pytest

from fnloop import testing as laws
from fnloop.core.records import frozen
from fnloop.nn import Dense
from tests.testing.finding import assert_found, found


def spoiled(change):
    """A dense layer whose backward pass is changed: `change(grads)`."""

    @frozen
    class Spoiled(Dense):
        def forward(self, params, x, context):
            y, backward, _ = Dense.forward(self, params, x, context)

            def changed(dy, grads, need_dx):
                dx = backward(dy, grads, need_dx)
                change(grads)
                return dx

            return y, changed, ()

    return Spoiled(3, 2)


def double_weights(grads):
    grads.weights[...] *= 2


def forget_biases(grads):
    grads.biases[...] = 0


@frozen
class NoBias(Dense):
    """Leaves what stands where the gradient of the biases belongs."""

    def forward(self, params, x, context):
        def backward(dy, grads, need_dx):
            np.dot(x.T, dy, out=grads.weights)
            return dy @ params.weights.T

        return x @ params.weights + params.biases, backward, ()


@frozen
class Accumulates(Dense):
    def forward(self, params, x, context):
        def backward(dy, grads, need_dx):
            grads.weights[...] += x.T @ dy
            grads.biases[...] += dy.sum(0)
            return dy @ params.weights.T

        return x @ params.weights + params.biases, backward, ()


@frozen
class WrongInputs(Dense):
    def forward(self, params, x, context):
        y, backward, _ = Dense.forward(self, params, x, context)
        return y, lambda dy, grads, need_dx: -backward(dy, grads, True), ()


@frozen
class WritesInputs(Dense):
    def forward(self, params, x, context):
        x *= 1.5
        return Dense.forward(self, params, x, context)


@frozen
class SeesTheBatch(Dense):
    def forward(self, params, x, context):
        def backward(dy, grads, need_dx):
            dz = dy @ params.weights.T
            np.dot((x - x.mean(0)).T, dy, out=grads.weights)
            grads.biases[...] = dy.sum(0)
            return dz - dz.mean(0)

        return (x - x.mean(0)) @ params.weights + params.biases, backward, ()


@frozen
class Float64(Dense):
    def forward(self, params, x, context):
        y, backward, _ = Dense.forward(self, params, x, context)
        return y.astype(np.float64), lambda dy, grads, need_dx: backward(dy.astype(x.dtype), grads, need_dx), ()


LAYERS = [
    (spoiled(double_weights), "gradient = central differences", ["at parameters["]),
    (spoiled(forget_biases), "gradient = central differences", ["at parameters[6]", "gradient: 0.0"]),
    (NoBias(3, 2), "gradient = central differences", ["at parameters[6]", "gradient: nan"]),
    (Accumulates(3, 2), "gradient = central differences", ["gradient: nan"]),
    (WrongInputs(3, 2), "gradient = central differences", ["at dx["]),
    (WritesInputs(3, 2), "purity", ["at x[0, 0]", "before: ", "afterwards: "]),
    (SeesTheBatch(3, 2), "independent rows", ["for rows = 1", "at row 0", "in the batch", "alone"]),
    (Float64(3, 2), "contract", ["at y", "dtype: 'float64'", "dtype of x: 'float32'"]),
]


@pytest.mark.parametrize(("layer", "law", "parts"), LAYERS, ids=lambda value: type(value).__name__)
def test_broken_layers(layer, law, parts):
    """Wrong, forgotten and accumulated gradients; inputs written to; rows that see each other; another dtype."""
    assert_found(found(laws.check_layer, layer, 3), law, *parts)


def test_a_doubled_gradient_is_wrong_by_half_of_it():
    """The relative error is shown as it was computed."""
    said = str(found(laws.check_layer, spoiled(double_weights), 3))
    assert float(re.search(r"relative error: (\S+)", said)[1]) == pytest.approx(0.5, abs=1e-9)
