"""A chain of kernels under JAX: array by array, with scalars that are known before an epoch or made of traced values."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from fnloop.core.parameters import Slot
from fnloop.engines.jax.random import normal
from fnloop.optimizers import Elementwise
from fnloop.optimizers.kernel import StepContext, materialize
from fnloop.optimizers.norms import norm_of


def run_chain(
    optimizer: Elementwise, layout: Sequence[Slot], value: Any, slots: Any, params: Any, now: StepContext, early: Sequence[Any]
) -> Any:
    """The kernels of a chain, one behind the other, on each array; the compiler makes one pass of them."""
    moved: list[Any] = []
    values, leaves, tree = jax.tree.leaves(value), jax.tree.leaves(params), jax.tree.structure(params)
    for part, known in zip(optimizer.parts, early, strict=True):
        scalars = _scalars(part, layout, values, leaves, now, known)
        own = [jax.tree.leaves(slot) for slot in slots[len(moved) : len(moved) + len(part.slots)]]
        done = [part.kernel(v, list(kept), p, s) for v, p, s, *kept in zip(values, leaves, scalars, *own, strict=True)]
        values = [materialize(direction) for direction, _ in done]
        moved += [jax.tree.unflatten(tree, kept) for kept in zip(*(kept for _, kept in done), strict=True)]
    return jax.tree.unflatten(tree, values), moved


def _scalars(
    part: Elementwise, layout: Sequence[Slot], values: Sequence[Any], params: Any, now: StepContext, early: Any
) -> list[Any]:
    """A part's scalars for each array: those known early, or made of the values that come in."""
    if part.depends_on == "arrays":
        each = enumerate(zip(values, params, layout, strict=True))
        return [
            part.scalars(StepContext(now.count, now.lr, None, value, here, place.layer, None, index, normal, place.kind))
            for index, (value, here, place) in each
        ]
    if part.depends_on == "norm":
        norm = norm_of(jnp.concatenate([v.reshape(-1) for v in values]))
        return [part.scalars(now._replace(norm=norm))] * len(values)
    return early if part.depends_on == "layer" else [early] * len(values)


def early_scalars(optimizer: Elementwise, layout: Sequence[Slot], now: StepContext, n: int, dtype: str) -> list[Any]:
    """The scalars of n updates that depend on no values, part by part, where the layer counts array by array."""
    return [
        None
        if part.depends_on in ("norm", "arrays")
        else [_rows(part.scalars(now._replace(layer=place.layer, kind=place.kind)), n, dtype) for place in layout]
        if part.depends_on == "layer"
        else _rows(part.scalars(now), n, dtype)
        for part in optimizer.parts
    ]


def _rows(scalars: Any, n: int, dtype: str) -> Any:
    """Scalars for n steps, computed at once in float64: the i-th entry of each array is the i-th step's."""
    if scalars is None:
        return None
    if isinstance(scalars, tuple):
        return tuple(_rows(scalar, n, dtype) for scalar in scalars)
    return np.broadcast_to(np.asarray(scalars, dtype), (n,))
