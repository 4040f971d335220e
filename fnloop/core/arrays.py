"""Frozen arrays: read-only, in C order, and safe from writes through another view."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
AnyArray = Any  # an array of NumPy or of JAX, traced or not: no type covers both


def freeze(array: Array) -> Array:
    """The array itself if nothing can write to it, else a read-only copy in C order."""
    if is_frozen(array):
        return array
    if array.dtype.hasobject:
        raise TypeError(f"arrays of objects cannot be frozen, got dtype {array.dtype}; allowed are numbers and booleans")
    return read_only(np.array(array, order="C"))


def read_only(array: Array) -> Array:
    """A read-only view of an array that the caller made and hands over: freezing without a copy."""
    array.flags.writeable = False
    return array.view()


def is_frozen(array: Array) -> bool:
    """Whether neither the array nor what it views can be written, and its order is C's."""
    flags = array.flags
    if flags.writeable or not flags.c_contiguous or array.dtype.hasobject:
        return False
    while isinstance(array.base, np.ndarray):  # a read-only view still changes through what it views
        array = array.base
    return not array.flags.writeable
