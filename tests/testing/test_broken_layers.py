"""Broken layers: a law finds each fault, and its error has the name of the law and the counterexample."""

import re

import numpy as np
import pytest

from fnloop import testing as laws
from fnloop.core.records import frozen
from fnloop.nn import Dense
from tests.testing.finding import assert_found, found


def with_wrong_gradients(change):
    """Return a dense layer whose gradients are changed by `change(grads)`."""

    @frozen
    class WrongGradients(Dense):
        def forward(self, params, x, context):
            y, backward, _ = Dense.forward(self, params, x, context)

            def changed(dy, grads, need_dx):
                dx = backward(dy, grads, need_dx)
                change(grads)
                return dx

            return y, changed, ()

    return WrongGradients(3, 2)


def double_weights(grads):
    grads.weights[...] *= 2


def zero_biases(grads):
    grads.biases[...] = 0


@frozen
class OmitsBias(Dense):
    """Does not write the gradient of the biases."""

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
class DependsOnTheBatch(Dense):
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


@frozen
class HidesRandomness(Dense):
    """Draws, but inherits `random = False`: an engine may share one context between its batches."""

    def forward(self, params, x, context):
        if context.draw is not None:
            context.draw(1, context.address)
        return Dense.forward(self, params, x, context)


LAYERS = [
    (with_wrong_gradients(double_weights), "gradient = central differences", ["at parameters["]),
    (with_wrong_gradients(zero_biases), "gradient = central differences", ["at parameters[6]", "gradient: 0.0"]),
    (OmitsBias(3, 2), "gradient = central differences", ["at parameters[6]", "gradient: nan"]),
    (Accumulates(3, 2), "gradient = central differences", ["gradient: nan"]),
    (WrongInputs(3, 2), "gradient = central differences", ["at dx["]),
    (WritesInputs(3, 2), "purity", ["at x[0, 0]", "before: ", "after: "]),
    (DependsOnTheBatch(3, 2), "independent rows", ["for rows = 1", "at row 0", "in the batch", "alone"]),
    (Float64(3, 2), "contract", ["at y", "dtype: 'float64'", "dtype of x: 'float32'"]),
    (HidesRandomness(3, 2), "contract", ["random: False", "draws: 1"]),
]


@pytest.mark.parametrize(("layer", "law", "parts"), LAYERS, ids=lambda value: type(value).__name__)
def test_broken_layers(layer, law, parts):
    """Wrong, missing and accumulated gradients; inputs written to; dependent rows; another dtype; hidden draws."""
    assert_found(found(laws.check_layer, layer, 3), law, *parts)


def test_the_relative_error_is_shown():
    """A doubled gradient has a relative error of 1/2."""
    message = str(found(laws.check_layer, with_wrong_gradients(double_weights), 3))
    assert float(re.search(r"relative error: (\S+)", message)[1]) == pytest.approx(0.5, abs=1e-9)
