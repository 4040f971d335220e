"""The numbers of each update of an epoch on JAX, computed before its fold."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import toolz

from fnloop.core.arrays import Array
from fnloop.core.digest import bits
from fnloop.core.fields import leaves
from fnloop.engines.base import Carry, Computation
from fnloop.engines.jax.fold import Schedule
from fnloop.engines.jax.kernel_pass import precompute_scalars
from fnloop.optimizers import Elementwise
from fnloop.optimizers.kernel import StepContext


def make_schedule(computation: Computation, carry: Carry, rates: Sequence[float], first: int, batches: int) -> Schedule:
    """Return the numbers of each update of an epoch of so many batches; only those from `first` on are used."""
    lrs = np.zeros(batches)
    lrs[first : first + len(rates)] = rates
    counts = np.maximum(1, np.arange(batches) + (carry.optimizer_count + 1 - first))
    layout, dtype = computation.model.layout, computation.dtype
    scalars = precompute_scalars(computation.optimizer.parts, layout, StepContext(counts, lrs), batches, dtype)
    return Schedule(lrs.astype(dtype), counts.astype(np.int32), scalars)


def make_schedules(computations: Sequence[Computation]) -> Callable[[int, Sequence[Sequence[float]], int, int], Schedule]:
    """Return the function `schedules(count, rates, first, batches)` of the members of a population.

    It returns the values of `make_schedule` with a leading axis of members, all of which have made `count` updates. Members
    with the same part of an optimizer are computed as one.

    Args:
        computations: A computation for each member. Their optimizers have the same kinds of parts.
    """
    parts = list(zip(*(computation.optimizer.parts for computation in computations), strict=True))
    groups = [list(toolz.groupby(lambda k, own=own: _bits(own[k]), range(len(own))).values()) for own in parts]
    layout, dtype, members = computations[0].model.layout, computations[0].dtype, len(computations)

    def scalars_of(part: Elementwise, counts: Array, lrs: Array) -> Any:
        """Return the scalars of one part for members with these rates."""
        context = StepContext(np.tile(counts, len(lrs)), lrs.reshape(-1))
        (scalars,) = precompute_scalars([part], layout, context, lrs.size, dtype)
        return jax.tree.map(lambda values: values.reshape(lrs.shape), scalars)

    def schedules(count: int, rates: Sequence[Sequence[float]], first: int, batches: int) -> Schedule:
        lrs = np.zeros((members, batches))
        lrs[:, first : first + len(rates[0])] = rates
        counts = np.maximum(1, np.arange(batches) + (count + 1 - first))
        scalars = []
        for of_members, own in zip(parts, groups, strict=True):
            trees = [scalars_of(of_members[group[0]], counts, lrs[group]) for group in own]
            order = np.argsort(np.concatenate(own))
            scalars.append(jax.tree.map(lambda *leaves, order=order: np.concatenate(leaves)[order], *trees))
        return Schedule(lrs.astype(dtype), np.tile(counts.astype(np.int32), (members, 1)), scalars)

    return schedules


def _bits(part: Elementwise) -> tuple[Any, ...]:
    """Return a key that is the same for equal parts."""
    return tuple((name, *bits(leaf)) for name, leaf in leaves(part))
