"""The draws of `fnloop.core.random` on JAX: the same 64-bit words, so the same uniform numbers, to the bit.

Source: Salmon et al. 2011, Philox4x64-10. As in NumPy, the counter is incremented before the first block of four words.
"""

from typing import Any

import numpy as np
from jax import numpy as jnp

from fnloop.core.arrays import AnyArray
from fnloop.core.random import Stream

_MULTIPLIERS = np.array([0xD2E7470EE14C6C93, 0xCA5A826395121157], np.uint64)
_WEYL = np.array([0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B], np.uint64)
_LOW, _HALF, _ROUNDS = np.uint64(0xFFFFFFFF), np.uint64(32), 10


def uniform(n: int, seed: Any, stream: Stream, *counters: Any) -> AnyArray:
    """Draw n uniform numbers, as `fnloop.core.random.uniform` does; seed and counters may be traced, of dtype uint64."""
    third, fourth = (jnp.asarray(counter, np.uint64) for counter in (*counters, 0, 0)[:2])
    first = jnp.arange(1, -(-n // 4) + 1, dtype=np.uint64)
    a, b, c, d = first, jnp.zeros_like(first), jnp.broadcast_to(third, first.shape), jnp.broadcast_to(fourth, first.shape)
    keys = jnp.asarray(seed, np.uint64), jnp.asarray(stream, np.uint64)
    for _ in range(_ROUNDS):
        (high, low), (other_high, other_low) = _multiply(_MULTIPLIERS[0], a), _multiply(_MULTIPLIERS[1], c)
        a, b, c, d = other_high ^ b ^ keys[0], other_low, high ^ d ^ keys[1], low
        keys = keys[0] + _WEYL[0], keys[1] + _WEYL[1]
    return (jnp.stack([a, b, c, d], axis=1).reshape(-1)[:n] >> np.uint64(11)) * 2.0**-53


def normal(n: int, seed: Any, stream: Stream, *counters: Any) -> AnyArray:
    """Draw n normal numbers, those of `fnloop.core.random.normal` to rounding."""
    u, v = uniform(2 * n, seed, stream, *counters).reshape(2, n)
    return jnp.sqrt(-2 * jnp.log1p(-u)) * jnp.cos(2 * np.pi * v)


def _multiply(a: AnyArray, b: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Return the upper and the lower 64 bits of a product, from the products of 32-bit halves."""
    a_high, a_low, b_high, b_low = a >> _HALF, a & _LOW, b >> _HALF, b & _LOW
    low, left, right = a_low * b_low, a_high * b_low, a_low * b_high
    middle = (low >> _HALF) + (left & _LOW) + (right & _LOW)
    return a_high * b_high + (left >> _HALF) + (right >> _HALF) + (middle >> _HALF), a * b
