"""Initial weights, scaled so that the variance of the signal is kept from layer to layer."""

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
    """Weights of a shape (..., D, K), float64, whose extents before the last two are those of a kernel.

    The uniform ones are on (-a, a) with a² = 3 variance. Orthogonal weights, as a matrix (fan-in, K), have orthonormal
    columns, or rows where there are fewer of them; the signs are those of a matrix drawn evenly from all of these (Saxe et al.
    2014).
    """
    *window, fan_in, fan_out = shape
    if name == "orthogonal":
        return _orthogonal(math.prod(shape[:-1]), fan_out, seed, address).reshape(shape)
    scheme, kind = name.split("_")
    field = math.prod(window)
    variance = _VARIANCE[scheme](field * fan_in, field * fan_out)
    if kind == "normal":
        drawn = variance**0.5 * normal(math.prod(shape), seed, Stream.INITIAL, address)
    else:
        a = (3 * variance) ** 0.5
        drawn = a * (2 * uniform(math.prod(shape), seed, Stream.INITIAL, address) - 1)
    weights: Array = drawn.reshape(shape)
    return weights


def _orthogonal(rows: int, columns: int, seed: int, address: int) -> Array:
    tall = max(rows, columns), min(rows, columns)
    q, r = np.linalg.qr(normal(rows * columns, seed, Stream.INITIAL, address).reshape(tall))
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return q if rows >= columns else q.T
