"""Arrays that computations ask for again and again, made once and frozen.

In NumPy a product with ones is several times faster than a reduction over a short axis, if the ones need not be made anew.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from fnloop.core.arrays import Array, read_only


@lru_cache(maxsize=32)
def ones(n: int, dtype: Any) -> Array:
    """n ones: `ones(n) @ a` sums over the first axis, `a @ ones(n)` over the last."""
    return read_only(np.ones(n, dtype))


@lru_cache(maxsize=32)
def indices(n: int, dtype: Any) -> Array:
    """0, 1, ..., n - 1."""
    return read_only(np.arange(n, dtype=dtype))


@lru_cache(maxsize=32)
def constant_array(values: tuple[float, ...], dtype: Any) -> Array:
    """The values of a record's field as an array."""
    return read_only(np.array(values, dtype))
