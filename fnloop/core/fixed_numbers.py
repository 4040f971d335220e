"""Fixed numbers for computations whose bits are compared: the same in every process, on every machine."""

import numpy as np

from fnloop.core.arrays import Array

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio


def fixed_numbers(n: int) -> Array:
    """Return n numbers that fill (-1, 1) evenly, float64, with all bits of the mantissa used.

    They come from integers alone, so that they do not depend on what is compared.

    Source: Weyl 1916, the equidistribution of multiples of an irrational number.
    """
    words = np.arange(1, n + 1, dtype=np.uint64) * _GOLDEN
    return (words >> np.uint64(11)) * 2.0**-52 - 1.0
