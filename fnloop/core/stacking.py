"""Populations as arrays with a leading axis of members: which parts take it, and matrix products with and without it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

CACHE = 8 << 20  # bytes of the arrays of a group of members; they need not all be in the second-level cache at once
FEWEST = 4  # members of a group; fewer models, which are then large, are no faster together than alone

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


def members_that_fit(numbers: int, dtype: str) -> int:
    """Return how many members are computed together: those that fit into the cache; 1 if they are few, and as fast alone.

    Args:
        numbers: The numbers that a member computes with at a time.
        dtype: Their dtype.

    Examples:
        >>> members_that_fit(100_000, "float32"), members_that_fit(1_000_000, "float32")
        (20, 1)
    """
    fitting = CACHE // (numbers * np.dtype(dtype).itemsize)
    return fitting if fitting >= FEWEST else 1


def split_evenly(members: Sequence[Any], at_once: int) -> list[Sequence[Any]]:
    """Return the members in as few groups as possible, of nearly equal sizes.

    Args:
        members: The members.
        at_once: The largest size of a group.

    Examples:
        >>> split_evenly(range(7), 3)
        [range(0, 2), range(2, 4), range(4, 7)]
    """
    n, groups = len(members), -(-len(members) // at_once)
    return [members[i * n // groups : (i + 1) * n // groups] for i in range(groups)]


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
        a: (M, N), or for K members (K, M, N).
        b: (N, L) or (N,), or for K members (K, N, L) or a vector for all, (N,).
        out: The array to write to. Default: None, a new one.
    """
    if a.ndim > 2:
        return np.matmul(for_blas(a), for_blas(b), out=out)
    return a.dot(b) if out is None else a.dot(b, out)


def for_blas(matrices: Any) -> Any:
    """Return the matrices, or a copy of a view, such as a broadcast one, that `dot` copies but `matmul` sums without BLAS.

    Args:
        matrices: (K, M, N), or a vector for all members, (N,).
    """
    return matrices if min(matrices.strides[-2:]) == matrices.itemsize else matrices.copy()
