"""The fold on JAX: one compiled program folds an update over batches.

The program takes any batches of an epoch, from any first to any last. So an epoch, the rest of one and a single step are the
same instructions: they have the same bits, and a run compiles once.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from fnloop.core.arrays import AnyArray
from fnloop.engines.base import Computation
from fnloop.engines.jax.gradient import make_forward, make_gradient
from fnloop.engines.jax.kernel_pass import run_kernels
from fnloop.engines.jax.measure import make_measure, make_outputs
from fnloop.engines.jax.tracing import functions_in
from fnloop.optimizers.kernel import StepContext

Address = tuple[AnyArray, AnyArray]  # the seed, and the step of the epoch's first batch in the run


class Layered(NamedTuple):
    """A carry's arrays as the program updates them: one array for each parameter of a layer, not one flat vector.

    XLA compiles slower code for slices of flat arrays within the fold.
    """

    params: Any
    buffers: Any
    slots: Any


class Schedule(NamedTuple):
    """What each update of an epoch depends on besides arrays: its learning rate, its count, and the optimizer's scalars."""

    lrs: AnyArray
    counts: AnyArray
    scalars: Sequence[Any]


class Program(NamedTuple):
    """The compiled functions of a computation.

    Args:
        split: Flat arrays to `Layered` ones.
        fold: Folds the update over batches; overwrites the arrays that it is given.
        join: `Layered` arrays to flat ones.
        measure: The sums of the loss and the metrics over a dataset.
        outputs: The model's outputs.
    """

    split: Callable[..., Any]
    fold: Callable[..., Any]
    join: Callable[..., Any]
    measure: Callable[..., Any]
    outputs: Callable[..., Any]


def get_program(computation: Computation) -> Program:
    """Return the program of a computation: that of any other one which differs in seed and threads only."""
    return _compile(functions_in(computation), computation._replace(seed=0, threads=1))


@lru_cache(maxsize=64)  # compiled programs, by computation: compiling takes seconds
def _compile(functions: tuple[Any, ...], computation: Computation) -> Program:
    model = computation.model
    update = make_update(computation)

    @jax.jit
    def split(vector: Any, *others: Any) -> Layered:
        n = len(model.buffers)
        arrays = Layered(model.views(vector), others[:n], [model.views(slot) for slot in others[n:]])
        copies: Layered = jax.tree.map(jnp.copy, arrays)  # the fold overwrites them, not the arrays of the caller
        return copies

    @jax.jit
    def join(arrays: Layered) -> list[Any]:
        params, buffers, slots = arrays
        flat = [jnp.concatenate([array.reshape(-1) for array in jax.tree.leaves(each)]) for each in (params, *slots)]
        return [jnp.copy(array) for array in (flat[0], *buffers, *flat[1:])]

    @partial(jax.jit, donate_argnums=0, static_argnames="size")
    def fold(
        arrays: Layered, examples: Any, order: Any, schedule: Schedule, first: Any, stop: Any, address: Address, *, size: int
    ) -> tuple[Layered, Any, Any]:
        full, rest = divmod(len(order), size)
        seed, step = address

        def fold_batch(i: Any, rows: Any, arrays: Any, sums: Any, finite: Any) -> Any:
            at_step = jax.tree.map(lambda values: values[i], schedule)
            batch = [array[rows] for array in examples]
            arrays, batch_sums, batch_finite = update(arrays, batch, at_step, (seed, step + jnp.asarray(i, np.uint64)))
            return arrays, sums.at[i].set(batch_sums), finite & batch_finite

        def fold_full_batch(i: Any, carry: Any) -> Any:
            return fold_batch(i, lax.dynamic_slice(order, (i * size,), (size,)), *carry)

        width = 1 + sum(metric.width(model.outputs) for metric in computation.metrics)
        carry = arrays, jnp.zeros((len(schedule.lrs), width), np.float64), jnp.ones(2, bool)
        if full:
            carry = lax.fori_loop(first, jnp.minimum(stop, full), fold_full_batch, carry)
        if rest:
            carry = lax.cond(stop > full, lambda c: fold_batch(full, order[full * size :], *c), lambda c: c, carry)
        arrays, sums, finite = carry
        return arrays, sums, jnp.stack([*finite, *map(is_finite, (arrays.params, arrays.slots, arrays.buffers))])

    return Program(split, fold, join, jax.jit(make_measure(computation)), jax.jit(make_outputs(computation)))


def make_update(computation: Computation) -> Callable[..., tuple[Layered, Any, Any]]:
    """Return the function `update(arrays, batch, schedule, address) -> (arrays, sums, finite)`.

    `schedule` has the values of this update, and `finite` says whether the loss and the gradient are finite.
    """
    kernels, layout = computation.optimizer.parts, computation.model.layout
    gradient_of = make_gradient(computation, make_forward(computation))

    def update(arrays: Layered, batch: Any, schedule: Schedule, address: Address) -> tuple[Layered, Any, Any]:
        params, buffers, slots = arrays
        lr, count, scalars = schedule
        gradient, buffers, sums = gradient_of(params, buffers, batch, *address)
        direction, slots = run_kernels(kernels, layout, gradient, slots, params, StepContext(count, lr), scalars)
        finite = jnp.stack([jnp.isfinite(sums[0]), is_finite(gradient)])
        return Layered(jax.tree.map(lambda p, d: p - lr * d, params, direction), buffers, slots), sums, finite

    return update


def is_finite(arrays: Any) -> Any:
    """Return whether every element is finite, at the cost of dot products if so: a reduction with `all` takes much longer."""
    flat = [array.reshape(-1) for array in jax.tree.leaves(arrays)]
    if not flat:
        return jnp.asarray(True)
    squares = sum(jnp.dot(array, array) for array in flat)
    return lax.cond(
        jnp.isfinite(squares),
        lambda: jnp.asarray(True),
        lambda: jnp.stack([jnp.isfinite(array).all() for array in flat]).all(),
    )
