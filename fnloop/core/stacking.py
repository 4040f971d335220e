"""Populations as arrays with a leading axis of members: which parts take it, and matrix products with and without it."""

from typing import Any

import numpy as np

_DEFINED_BY = {"forward", "rho", "sums"}


def can_stack(part: Any) -> bool:
    """Return whether a layer, loss or metric also takes arrays with a leading axis of members.

    A part says so by `stacks = True`. A subclass that defines its computation anew has to say it anew.

    Args:
        part: The layer, loss or metric.
    """
    for cls in type(part).__mro__:
        if "stacks" in vars(cls):
            return bool(part.stacks)
        if _DEFINED_BY & vars(cls).keys():
            return False
    return False


def repeated(array: Any, members: int) -> Any:
    """Return an array with a copy for each member, (K, ...).

    A view would save the memory, but NumPy then puts the axis of the members last in the results, where sums have other bits.

    Args:
        array: The array.
        members: The number of members, K.
    """
    return np.repeat(array[None], members, axis=0)


def product(a: Any, b: Any, out: Any = None) -> Any:
    """Return the matrix product of a and b, or for a population that of each member.

    Both ways give the same bits; `dot` takes less time for small matrices.

    Args:
        a: (M, N) or (N,), or for K members (K, M, N) or a vector for all, (N,).
        b: (N, L) or (N,), or for K members (K, N, L) or a vector for all, (N,).
        out: The array to write to. Default: None, a new one.
    """
    if a.ndim > 2 or b.ndim > 2:
        return np.matmul(_for_blas(a), _for_blas(b), out=out)
    return a.dot(b) if out is None else a.dot(b, out)


def _for_blas(matrices: Any) -> Any:
    """Return the matrices, or a copy of a view, such as a broadcast one, that `dot` copies but `matmul` sums without BLAS."""
    return matrices if min(matrices.strides[-2:]) == matrices.itemsize else matrices.copy()
