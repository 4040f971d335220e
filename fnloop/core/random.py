"""Random numbers as pure functions of an address: (seed, stream, counters). No generator is stored.

They are computed from the integers of Philox, which NumPy guarantees to be the same in all versions.

Source: Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3.
"""

from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np

from fnloop.core.arrays import Array, read_only


class Stream(IntEnum):
    """The purpose of random numbers; those of different streams are independent."""

    INITIAL = 0
    SHUFFLE = 1
    DROPOUT = 2
    NOISE = 3
    SPLIT = 5
    SEARCH = 6


def words(n: int, seed: int, stream: Stream, *counters: int) -> Array:
    """Return random 64-bit words at an address.

    Args:
        n: Their number.
        seed: The seed, in [0, 2^64).
        stream: Their purpose.
        counters: Up to two integers, such as the epoch or a layer's address. Each address has 2^130 words.
    """
    return _generator(seed, stream, *counters).random_raw(n)


def words_of_seeds(n: int, seeds: Sequence[int], stream: Stream, *counters: int) -> Array:
    """Return the words of each seed, (K, n): one generator is made, and its key set. Arguments are those of `words`."""
    generator = _generator(seeds[0], stream, *counters)
    state: Any = generator.state
    drawn = np.empty((len(seeds), n), np.uint64)
    for row, seed in zip(drawn, seeds, strict=True):
        state["state"]["key"][0] = seed
        generator.state = state
        row[...] = generator.random_raw(n)
    return drawn


def _generator(seed: int, stream: Stream, *counters: int) -> np.random.Philox:
    address = [0, 0, *counters, 0, 0][:4]
    key = np.array([seed, stream], dtype=np.uint64)
    return np.random.Philox(key=key, counter=np.array(address, dtype=np.uint64))


def uniform(n: int, seed: int, stream: Stream, *counters: int) -> Array:
    """Return n uniform random numbers in [0, 1), float64, each a multiple of 2^-53. Arguments are those of `words`."""
    return (words(n, seed, stream, *counters) >> np.uint64(11)) * 2.0**-53


def normal(n: int, seed: int, stream: Stream, *counters: int) -> Array:
    """Return n standard normal random numbers, float64. Arguments are those of `words`.

    Each is r cos(2πv) with r² = -2 log(1 - u), for a pair of uniform numbers u and v.

    Source: Box & Muller 1958.
    """
    u, v = uniform(2 * n, seed, stream, *counters).reshape(2, n)
    drawn: Array = np.sqrt(-2 * np.log1p(-u)) * np.cos(2 * np.pi * v)
    return drawn


@lru_cache(maxsize=2)  # stepping through an epoch asks for its order at each step
def permutation(n: int, seed: int, epoch: int) -> Array:
    """Return the order of n examples in an epoch, in the smallest integer dtype.

    It sorts n random words whose last bits are replaced by the index of an example, which is several times faster than
    `argsort`. Words are compared by their other bits; for 10^6 examples, one pair in 10^13 is equal, and then the lower index
    comes first.
    """
    return read_only(_order(words(n, seed, Stream.SHUFFLE, epoch)))


def permutations(n: int, seeds: Sequence[int], epoch: int) -> Array:
    """Return the `permutation` of each seed, (K, n)."""
    return _order(words_of_seeds(n, seeds, Stream.SHUFFLE, epoch))


def _order(drawn: Array) -> Array:
    """Return the order of random words along the last axis; the words are overwritten."""
    n = drawn.shape[-1]
    last = np.uint64((1 << max(1, (n - 1).bit_length())) - 1)
    drawn &= ~last
    drawn |= np.arange(n, dtype=np.uint64)
    drawn.sort()
    drawn &= last
    return drawn.astype(np.min_scalar_type(-n))
