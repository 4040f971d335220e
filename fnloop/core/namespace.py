"""What lets one code take the arrays of NumPy, which can be written over, and those of JAX, which cannot."""

from typing import Any

import numpy as np


def namespace(array: Any) -> Any:
    """The module of functions for such an array, `array.__array_namespace__()`, of which NumPy's own answer is slow."""
    return np if isinstance(array, np.ndarray) else array.__array_namespace__()


def apply_into(room: Any, function: Any, *operands: Any) -> Any:
    """A function of arrays, such as `xp.sqrt`, written over one that nobody needs any more, where arrays can change."""
    return function(*operands, out=room) if isinstance(room, np.ndarray) else function(*operands)
