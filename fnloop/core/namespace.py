"""Helpers for code that runs on NumPy's arrays, which can be overwritten, and on JAX's, which cannot."""

from typing import Any

import numpy as np


def namespace(array: Any) -> Any:
    """Return `array.__array_namespace__()`, the module of functions for an array; faster for NumPy."""
    return np if isinstance(array, np.ndarray) else array.__array_namespace__()


def apply_into(out: Any, function: Any, *operands: Any) -> Any:
    """Return `function(*operands)`, such as `xp.sqrt(x)`; overwrites `out`, an array no longer needed, if it is NumPy's."""
    return function(*operands, out=out) if isinstance(out, np.ndarray) else function(*operands)
