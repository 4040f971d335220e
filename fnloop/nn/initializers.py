"""Initial weights, scaled so that each layer keeps the variance of the signal."""

import math

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.random import Stream, normal, uniform

# The variance of a weight by fan-in and fan-out. Sources: He et al. 2015; Glorot & Bengio 2010; LeCun et al. 1998.
_VARIANCE = {
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
}
INITIALIZERS = (*(f"{name}_{kind}" for name in _VARIANCE for kind in ("uniform", "normal")), "orthogonal")


def initial_weights(name: str, shape: tuple[int, ...], seed: int, address: int) -> Array:
    """Return random weights, float64.

    Uniform weights are on (-a, a) with a² = 3 variance. Orthogonal weights, as a matrix (fan-in, K), have orthonormal columns,
    or orthonormal rows if K > fan-in; they are drawn uniformly from all such matrices (Saxe et al. 2014).

    Args:
        name: One of `INITIALIZERS`.
        shape: (*kernel, D, K); the fan-in is D times the size of the kernel.
        seed: The trainer's seed.
        address: The layer's address.
    """
    *kernel, fan_in, fan_out = shape
    if name == "orthogonal":
        return _orthogonal(math.prod(shape[:-1]), fan_out, seed, address).reshape(shape)
    scheme, kind = name.split("_")
    kernel_size = math.prod(kernel)
    variance = _VARIANCE[scheme](kernel_size * fan_in, kernel_size * fan_out)
    if kind == "normal":
        drawn = variance**0.5 * normal(math.prod(shape), seed, Stream.INITIAL, address)
    else:
        a = (3 * variance) ** 0.5
        drawn = a * (2 * uniform(math.prod(shape), seed, Stream.INITIAL, address) - 1)
    weights: Array = drawn.reshape(shape)
    return weights


def _orthogonal(rows: int, columns: int, seed: int, address: int) -> Array:
    """Return a random matrix (rows, columns) with orthonormal columns, or rows if there are fewer."""
    tall = max(rows, columns), min(rows, columns)
    q, r = np.linalg.qr(normal(rows * columns, seed, Stream.INITIAL, address).reshape(tall))
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return q if rows >= columns else q.T
