"""Randomness is an address: every draw is a pure function of (seed, stream, counters), and no generator is kept.

Only the integer stream of Philox is used, which NumPy guarantees across versions; what is drawn from it is computed here.
Source: Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3.
"""

from enum import IntEnum
from functools import lru_cache

import numpy as np

from fnloop.core.arrays import Array, read_only


class Stream(IntEnum):
    """What a draw is for; two streams never meet."""

    INITIAL = 0
    SHUFFLE = 1
    DROPOUT = 2
    NOISE = 3
    CANARY = 4
    SPLIT = 5


def words(n: int, seed: int, stream: Stream, *counters: int) -> Array:
    """n random 64-bit words at an address.

    Args:
        counters: up to two, such as the epoch or a layer's index; each address has 2^128 words of its own.
    """
    address = [0, 0, *counters, 0, 0][:4]
    key = np.array([seed, stream], dtype=np.uint64)
    return np.random.Philox(key=key, counter=np.array(address, dtype=np.uint64)).random_raw(n)


def uniform(n: int, seed: int, stream: Stream, *counters: int) -> Array:
    """n uniform draws in [0, 1), float64, each a multiple of 2^-53."""
    return (words(n, seed, stream, *counters) >> np.uint64(11)) * 2.0**-53


def normal(n: int, seed: int, stream: Stream, *counters: int) -> Array:
    """n draws from the standard normal distribution, float64: of each pair of uniform ones, r cos(2πv) with r² = -2 log(1 -
    u).

    Source: Box & Muller 1958.
    """
    u, v = uniform(2 * n, seed, stream, *counters).reshape(2, n)
    drawn: Array = np.sqrt(-2 * np.log1p(-u)) * np.cos(2 * np.pi * v)
    return drawn


@lru_cache(maxsize=2)  # who takes an epoch step by step asks for its order each time
def permutation(n: int, seed: int, epoch: int) -> Array:
    """The order of n examples in an epoch, as integers no wider than they must be.

    It is n random words sorted, each of which carries an example's index in its last bits.
    Words and their places sorted apart (argsort) take several times as long. What is left of a word to sort by is 64 bits less
    the index's: where two are equal, which for 10^6 examples one pair in 10^13 is, the lower index comes first.
    """
    last = np.uint64((1 << max(1, (n - 1).bit_length())) - 1)
    drawn = words(n, seed, Stream.SHUFFLE, epoch)
    drawn &= ~last
    drawn |= np.arange(n, dtype=np.uint64)
    drawn.sort()
    drawn &= last
    return read_only(drawn.astype(np.min_scalar_type(-n)))
