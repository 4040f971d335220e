"""The numbers of each update of an epoch on JAX, computed before its fold."""

from collections.abc import Sequence

import numpy as np

from fnloop.engines.base import Carry, Computation
from fnloop.engines.jax.fold import Schedule
from fnloop.engines.jax.kernel_pass import precompute_scalars
from fnloop.optimizers.kernel import StepContext


def make_schedule(computation: Computation, carry: Carry, rates: Sequence[float], first: int, batches: int) -> Schedule:
    """Return the numbers of each update of an epoch of so many batches; only those from `first` on are used."""
    lrs = np.zeros(batches)
    lrs[first : first + len(rates)] = rates
    counts = np.maximum(1, np.arange(batches) + (carry.optimizer_count + 1 - first))
    layout, dtype = computation.model.layout, computation.dtype
    scalars = precompute_scalars(computation.optimizer.parts, layout, StepContext(counts, lrs), batches, dtype)
    return Schedule(lrs.astype(dtype), counts.astype(np.int32), scalars)
