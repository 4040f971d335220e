"""The kernels of a chain on JAX, array by array; XLA compiles them into one pass over memory.

Scalars that depend on no values are computed for all updates of an epoch at once, before its fold.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import numpy as jnp

from fnloop.core.arrays import AnyArray
from fnloop.core.parameters import Slot
from fnloop.engines.jax.random import normal
from fnloop.optimizers.kernel import Kernel, Scalars, StepContext, materialize
from fnloop.optimizers.norms import norm_of

Tree = Any  # a pytree of arrays, one for each parameter of a layer


class Part(NamedTuple):
    """A part of an optimizer, and the number of its slots, which may depend on hyperparameters that are traced."""

    kernel: Kernel
    slots: int


def run_kernels(
    parts: Sequence[Part],
    layout: Sequence[Slot],
    gradient: Tree,
    slots: Sequence[Tree],
    params: Tree,
    context: StepContext,
    precomputed: Sequence[Any],
) -> tuple[Tree, list[Tree]]:
    """Return the direction and the new slots.

    Args:
        parts: The parts of an optimizer, in order.
        layout: The place of each array in the flat vector.
        gradient: The gradient, as a tree of arrays.
        slots: The slots of all parts, in order, each as a tree like the gradient.
        params: The parameters, as a tree like the gradient.
        context: The count and the learning rate of the update.
        precomputed: For each kernel the entries of `precompute_scalars` for this update.
    """
    new_slots: list[Tree] = []
    values, arrays, tree = jax.tree.leaves(gradient), jax.tree.leaves(params), jax.tree.structure(params)
    for (kernel, n), known in zip(parts, precomputed, strict=True):
        scalars = _scalars_of(kernel, layout, values, arrays, context, known)
        kept = [jax.tree.leaves(slot) for slot in slots[len(new_slots) : len(new_slots) + n]]
        results = [kernel.kernel(v, list(own), p, s) for v, p, s, *own in zip(values, arrays, scalars, *kept, strict=True)]
        values = [materialize(direction) for direction, _ in results]
        new_slots += [jax.tree.unflatten(tree, slot) for slot in zip(*(own for _, own in results), strict=True)]
    return jax.tree.unflatten(tree, values), new_slots


def precompute_scalars(
    kernels: Sequence[Kernel], layout: Sequence[Slot], context: StepContext, n: int, dtype: str
) -> list[Any]:
    """Return for each kernel its scalars in n updates, or None if they depend on values.

    Each number becomes an array with an entry for each update. A kernel whose scalars depend on the layer has a list of them,
    for each array.

    Args:
        kernels: The parts of an optimizer, in order.
        layout: The place of each array in the flat vector.
        context: The counts and the learning rates of the updates, as arrays.
        n: The number of updates.
        dtype: The dtype of the scalars, which are computed in float64.
    """
    scalars: list[Any] = []
    for kernel in kernels:
        if kernel.depends_on in ("norm", "arrays"):
            scalars.append(None)
        elif kernel.depends_on == "layer":
            contexts = [context._replace(layer=place.layer, kind=place.kind) for place in layout]
            scalars.append([_to_arrays(kernel.scalars(each), n, dtype) for each in contexts])
        else:
            scalars.append(_to_arrays(kernel.scalars(context), n, dtype))
    return scalars


def _scalars_of(
    kernel: Kernel,
    layout: Sequence[Slot],
    values: Sequence[AnyArray],
    params: Sequence[AnyArray],
    context: StepContext,
    precomputed: Any,
) -> list[Scalars]:
    """Return a kernel's scalars for each array: the precomputed ones, or those of the values that reach it."""
    if kernel.depends_on == "arrays":
        return [
            kernel.scalars(
                StepContext(
                    count=context.count,
                    lr=context.lr,
                    gradient=value,
                    params=array,
                    layer=place.layer,
                    place=index,
                    normal=normal,
                    kind=place.kind,
                )
            )
            for index, (value, array, place) in enumerate(zip(values, params, layout, strict=True))
        ]
    if kernel.depends_on == "norm":
        norm = norm_of(jnp.concatenate([value.reshape(-1) for value in values]))
        return [kernel.scalars(context._replace(norm=norm))] * len(values)
    return precomputed if kernel.depends_on == "layer" else [precomputed] * len(values)


def _to_arrays(scalars: Scalars, n: int, dtype: str) -> Any:
    """Replace each number by an array with an entry for each of n updates."""
    if scalars is None:
        return None
    if isinstance(scalars, tuple):
        return tuple(_to_arrays(scalar, n, dtype) for scalar in scalars)
    values = np.asarray(scalars, dtype)
    return values if values.shape == (n,) else np.full(n, values)
