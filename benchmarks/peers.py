"""The contenders of the benchmarks: scikit-learn, a bare NumPy loop, and JAX with optax, each in its usual style."""

import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import fnloop as fl

LR = 1e-3
Run = Callable[[int], Any]  # trains from the start for a number of epochs


def sklearn(sizes: list[int], batch: int, data: fl.Dataset) -> Run:
    """`MLPClassifier` without penalty or early stopping."""

    def run(epochs: int) -> None:
        model = MLPClassifier(
            sizes[1:-1], batch_size=batch, max_iter=epochs, alpha=0, learning_rate_init=LR, tol=0, n_iter_no_change=epochs + 1
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(data.x, data.y)

    return run


def weights_of(sizes: list[int]) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [
        array
        for a, b in pairwise(sizes)
        for array in (draw.standard_normal((a, b), dtype=np.float32) * np.float32((2 / a) ** 0.5), np.zeros(b, np.float32))
    ]


def numpy_loop(sizes: list[int], batch: int, data: fl.Dataset) -> Run:
    """The straightforward loop: weights, moments and gradients are lists of arrays."""

    def run(epochs: int) -> None:
        draw, weights, t = np.random.default_rng(0), weights_of(sizes), 0
        m, v = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
        for _ in range(epochs):
            for rows in _chunks(draw.permutation(len(data)), batch):
                x, y, t = data.x[rows], data.y[rows], t + 1
                for i, g in enumerate(_numpy_gradients(weights, x, y)):
                    m[i] = 0.9 * m[i] + 0.1 * g
                    v[i] = 0.999 * v[i] + 0.001 * g * g
                    weights[i] = weights[i] - LR * (m[i] / (1 - 0.9**t)) / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)

    return run


def _chunks(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (order[start : start + size] for start in range(0, len(order), size))


def _numpy_gradients(weights: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    inputs = [x]
    for w, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        inputs.append(np.maximum(inputs[-1] @ w + b, 0))
    z = inputs[-1] @ weights[-2] + weights[-1]
    if z.shape[1] == 1:
        dy = 1 / (1 + np.exp(-z)) - y[:, None].astype(np.float32)
    else:
        dy = np.exp(z - z.max(1, keepdims=True))
        dy /= dy.sum(1, keepdims=True)
        dy[np.arange(len(y)), y] -= 1
    dy /= np.float32(len(x))
    grads: list[np.ndarray] = []
    for i in range(len(inputs) - 1, -1, -1):
        grads = [inputs[i].T @ dy, dy.sum(0), *grads]
        if i:
            dy = (dy @ weights[2 * i].T) * (inputs[i] > 0)
    return grads


def optax_scan(sizes: list[int], batch: int, data: fl.Dataset) -> Run:
    """An epoch is one `lax.scan` of the step, jitted; the data is on the device, and the mean loss is read once an epoch."""
    return _optax(sizes, batch, data, scanned=True)


def optax_step(sizes: list[int], batch: int, data: fl.Dataset) -> Run:
    """The step is jitted and called from Python; the data is on the device."""
    return _optax(sizes, batch, data, scanned=False)


def _optax(sizes: list[int], batch: int, data: fl.Dataset, scanned: bool) -> Run:
    import jax
    import optax
    from jax import numpy as jnp

    optimizer = optax.adam(LR)
    x, y = jax.device_put(data.x), jax.device_put(data.y.astype(np.int32))

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        for i in range(0, len(weights), 2):
            x = x @ weights[i] + weights[i + 1]
            x = jax.nn.relu(x) if i < len(weights) - 2 else x
        if x.shape[1] == 1:
            return optax.sigmoid_binary_cross_entropy(x[:, 0], y.astype(x.dtype)).mean()
        return optax.softmax_cross_entropy_with_integer_labels(x, y).mean()

    def step(carry: Any, rows: Any, x: Any, y: Any) -> Any:
        weights, moments = carry
        loss, gradient = jax.value_and_grad(loss_of)(weights, x[rows], y[rows])
        updates, moments = optimizer.update(gradient, moments, weights)
        return (optax.apply_updates(weights, updates), moments), loss

    @jax.jit
    def scan(carry: Any, order: Any, x: Any, y: Any) -> Any:
        carry, losses = jax.lax.scan(lambda carry, rows: step(carry, rows, x, y), carry, order)
        return carry, losses.mean()

    @jax.jit
    def loop_step(carry: Any, rows: Any, x: Any, y: Any) -> Any:
        return step(carry, rows, x, y)

    def loop(carry: Any, order: Any, x: Any, y: Any) -> Any:
        losses = []
        for rows in order:
            carry, loss = loop_step(carry, rows, x, y)
            losses.append(loss)
        return carry, jnp.stack(losses).mean()

    start = jax.jit(optimizer.init)

    def run(epochs: int) -> None:
        draw, weights = np.random.default_rng(0), jax.device_put(weights_of(sizes))
        carry = weights, start(weights)
        for _ in range(epochs):
            order = draw.permutation(len(data)).astype(np.int32).reshape(-1, batch)
            carry, loss = (scan if scanned else loop)(carry, order, x, y)
            float(loss)

    return run
