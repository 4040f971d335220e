"""Initial weights, scaled so that the variance of the signal is kept from layer to layer."""

from fnloop.random import Stream, uniform
from fnloop.typing import Array

# The variance of a weight by fan-in and fan-out. Sources: He et al. 2015; Glorot & Bengio 2010.
VARIANCE = {
    "he_uniform": lambda fan_in, fan_out: 2 / fan_in,
    "glorot_uniform": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
}


def initial_weights(name: str, fan_in: int, fan_out: int, seed: int, layer: int) -> Array:
    """Uniform weights on (-a, a) with a² = 3 variance, float64, of shape (fan_in * fan_out,)."""
    a = (3 * VARIANCE[name](fan_in, fan_out)) ** 0.5
    weights: Array = a * (2 * uniform(fan_in * fan_out, seed, Stream.INITIAL, layer) - 1)
    return weights
