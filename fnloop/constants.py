"""Arrays of ones and zeros, made once and frozen.

An operation with such an array is often several times faster in NumPy than the same with a number, or than a reduction over
a short axis, and making one anew each step would cost as much as it saves.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from fnloop.record import owned
from fnloop.typing import Array


@lru_cache(maxsize=32)
def ones(n: int, dtype: Any) -> Array:
    """n ones: `ones(n) @ a` sums over the first axis, `a @ ones(n)` over the last."""
    return owned(np.ones(n, dtype))


@lru_cache(maxsize=32)
def zeros(shape: tuple[int, ...], dtype: Any) -> Array:
    """Zeros of a shape."""
    return owned(np.zeros(shape, dtype))


@lru_cache(maxsize=32)
def indices(n: int, dtype: Any) -> Array:
    """0, 1, ..., n - 1."""
    return owned(np.arange(n, dtype=dtype))
