"""The network of `MLPClassifier` and `MLPRegressor`: a `Sequential` whose weights, at first, are those of scikit-learn."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from itertools import chain, pairwise
from typing import Any

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import NonNegative
from fnloop.core.records import frozen
from fnloop.engines.threads import own_threads
from fnloop.nn import Dense, Sequential
from fnloop.nn.activations import Activation
from fnloop.nn.layer import Context, Forward, Layer
from fnloop.training.trainer import default_threads

ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}


@frozen
class PenalizedDense(Dense):
    """A dense layer whose loss has the penalty alpha / 2 * sum w² / N, with N the number of examples in the batch.

    Only its gradient is added, not its value.
    """

    _: KW_ONLY
    alpha: NonNegative = 0.0

    def forward(self, params: Any, x: AnyArray, context: Context) -> Forward:
        """Return the outputs, the backward function, and no buffers."""
        y, backward_dense, buffers = Dense.forward(self, params, x, context)

        def backward(dy: AnyArray, grads: Any, need_dx: bool) -> AnyArray | None:
            dx = backward_dense(dy, grads, need_dx)
            if self.alpha:
                grads.weights[...] += params.weights * (self.alpha / len(dy))
            return dx

        return y, backward, buffers


def make_network(sizes: Sequence[int], activation: str, alpha: float) -> Sequential:
    """Return a multilayer perceptron with penalized weights.

    Args:
        sizes: The width of the input, of each hidden layer, and of the output.
        activation: One of `ACTIVATIONS`.
        alpha: Weight of the penalty.
    """
    layers: list[Layer] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [PenalizedDense(fan_in, fan_out, alpha=alpha), Activation(ACTIVATIONS[activation])]
    return Sequential(sizes[0], tuple(layers[:-1]))


def initial_arrays(
    sizes: Sequence[int], activation: str, random_state: np.random.RandomState
) -> tuple[list[Array], list[Array]]:
    """Return the weights and the biases that scikit-learn draws from the same generator, float64.

    Args:
        sizes: The width of the input, of each hidden layer, and of the output.
        activation: The activation of the hidden layers.
        random_state: The generator.

    Source: Glorot & Bengio 2010.
    """
    weights, biases = [], []
    for fan_in, fan_out in pairwise(sizes):
        bound = np.sqrt((2.0 if activation == "logistic" else 6.0) / (fan_in + fan_out))
        weights.append(random_state.uniform(-bound, bound, (fan_in, fan_out)))
        biases.append(random_state.uniform(-bound, bound, fan_out))
    return weights, biases


def to_vector(weights: Sequence[Array], biases: Sequence[Array], dtype: str) -> Array:
    """Return the arrays as the flat vector of the network."""
    return np.concatenate([np.ravel(array) for array in chain(*zip(weights, biases, strict=True))]).astype(dtype)


def to_arrays(network: Sequential, vector: Array) -> tuple[list[Array], list[Array]]:
    """Return copies of the weights and the biases in the flat vector."""
    layers = network.unflatten(vector)
    return [layer.weights.copy() for layer in layers], [layer.biases.copy() for layer in layers]


def dense(rows: Any) -> Array:
    """Return rows of an array or a sparse matrix as an array."""
    return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows)


def blas_threads(network: Sequential) -> int:
    """Return the number of BLAS threads: the default of `Trainer.threads`, and at most that of the process.

    Processes side by side, as those of `GridSearchCV(n_jobs=2)`, have fewer each.
    """
    wanted = default_threads(network)
    return min(wanted, own_threads() or wanted)
