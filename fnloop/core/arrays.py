"""Frozen arrays: read-only, in C order, and safe from writes through another view."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
AnyArray = Any  # an array of NumPy or of JAX, traced or not: no type covers both


def freeze(array: Array) -> Array:
    """Return the array itself if nothing can write to it, else a read-only copy in C order.

    Raises:
        TypeError: If the array holds objects.
    """
    if is_frozen(array):
        return array
    if array.dtype.hasobject:
        raise TypeError(f"arrays of objects cannot be frozen, got dtype {array.dtype}; allowed are numbers and booleans")
    return read_only(np.array(array, order="C"))


def read_only(array: Array) -> Array:
    """Make an array read-only in place, and return a view of it: freezes without a copy an array that the caller created."""
    array.flags.writeable = False
    return array.view()


def is_frozen(array: Array) -> bool:
    """Return whether an array is in C order, and neither it nor the array that it is a view of can be written."""
    flags = array.flags
    if flags.writeable or not flags.c_contiguous or array.dtype.hasobject:
        return False
    while isinstance(array.base, np.ndarray):  # a read-only view still changes through what it views
        array = array.base
    return not array.flags.writeable
