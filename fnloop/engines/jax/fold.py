"""The fold on JAX: one compiled program folds an update over batches.

The program takes any batches of an epoch, from any first to any last. So an epoch, the rest of one and a single step are the
same instructions: they have the same bits, and a run compiles once.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from fnloop.core.arrays import AnyArray
from fnloop.engines.base import Computation
from fnloop.engines.jax.gradient import make_forward, make_gradient
from fnloop.engines.jax.hyperparameters import Numbers, OptimizerKind, split_numbers
from fnloop.engines.jax.kept_programs import KEPT
from fnloop.engines.jax.kernel_pass import Part, Tree, run_kernels
from fnloop.engines.jax.measure import make_measure, make_outputs
from fnloop.engines.jax.tracing import code_of
from fnloop.nn import Model
from fnloop.optimizers.chaining import chain
from fnloop.optimizers.kernel import StepContext

THREADED = 8 << 10  # bytes of a batch from which on XLA may gather it in several threads
GATHERED = 256 << 10  # bytes of batches that are gathered together

Address = tuple[AnyArray, AnyArray]  # the seed, and the step of the epoch's first batch in the run


class Layered(NamedTuple):
    """A carry's arrays as the program updates them: one array for each parameter of a layer, not one flat vector.

    XLA compiles slower code for slices of flat arrays within the fold.
    """

    params: Tree
    buffers: Sequence[AnyArray]
    slots: Sequence[Tree]


class Schedule(NamedTuple):
    """The numbers that each update of an epoch depends on, in arrays with an entry for each batch.

    Args:
        lrs: Learning rates.
        counts: Numbers of the updates, as the optimizer counts them.
        scalars: For each kernel its `precompute_scalars`.
    """

    lrs: AnyArray
    counts: AnyArray
    scalars: Sequence[Any]


class Program(NamedTuple):
    """The compiled functions of a computation.

    Args:
        split: Flat arrays to `Layered` ones.
        fold: Folds the update over batches, and overwrites its arrays. It returns `Layered` arrays, for the next
            fold, and the same as flat ones.
        check: Whether the gradient of a batch is finite.
        measure: The sums of the loss and the metrics over a dataset.
    """

    split: Callable[..., Layered]
    fold: Callable[..., tuple[Layered, list[AnyArray], AnyArray, AnyArray]]
    check: Callable[..., AnyArray]
    measure: Callable[..., AnyArray]


def get_program(computation: Computation) -> tuple[Program, Numbers]:
    """Return the program of a computation, and the numbers of its optimizer, which the fold takes.

    Computations that differ only in the seed, the threads, and the numbers and schedules of the optimizer share a program.
    """
    kind, numbers = split_numbers(computation.optimizer, computation.dtype)
    shared = shared_part(computation)
    key = "run", code_of(shared), code_of(kind), shared, kind
    return KEPT.get(key, lambda: _compile(shared, kind)), numbers


def shared_part(computation: Computation) -> Computation:
    """Return a computation without what differs between runs that share a program."""
    return computation._replace(seed=0, threads=1, optimizer=chain())


def _compile(computation: Computation, kind: OptimizerKind) -> Program:
    return Program(
        split=jax.jit(make_split(computation.model)),
        fold=jax.jit(_with_flat_arrays(make_fold(computation, kind)), donate_argnums=0, static_argnames="size"),
        check=jax.jit(make_check(computation)),
        measure=jax.jit(make_measure(computation)),
    )


def _with_flat_arrays(fold: Callable[..., tuple[Layered, AnyArray, AnyArray]]) -> Callable[..., Any]:
    """Return a fold that also returns the arrays as flat ones, which saves starting another program."""
    join = make_join()

    def fold_and_join(*arguments: Any, size: int) -> tuple[Layered, list[AnyArray], AnyArray, AnyArray]:
        arrays, sums, finite = fold(*arguments, size=size)
        return arrays, join(arrays), sums, finite

    return fold_and_join


def get_outputs(model: Any) -> Callable[..., AnyArray]:
    """Return the compiled function `outputs(vector, buffers, x)` of a model."""
    key = "outputs", code_of(model), model
    return KEPT.get(key, lambda: _Outputs(jax.jit(make_outputs(model)))).outputs


class _Outputs(NamedTuple):
    outputs: Callable[..., AnyArray]


def make_split(model: Model) -> Callable[..., Layered]:
    """Return the function `split(vector, *buffers, *slots)` from flat arrays to `Layered` ones.

    It copies: the fold overwrites its arrays, and they must not share memory with those of the caller.
    """

    def split(vector: AnyArray, *others: AnyArray) -> Layered:
        n = len(model.buffers)
        arrays = Layered(model.views(vector), others[:n], [model.views(slot) for slot in others[n:]])
        copies: Layered = jax.tree.map(jnp.copy, arrays)
        return copies

    return split


def make_join() -> Callable[[Layered], list[AnyArray]]:
    """Return the function `join(arrays)` from `Layered` arrays to flat ones, the inverse of `split`. It copies, too."""

    def join(arrays: Layered) -> list[AnyArray]:
        params, buffers, slots = arrays
        flat = [jnp.concatenate([array.reshape(-1) for array in jax.tree.leaves(each)]) for each in (params, *slots)]
        return [jnp.copy(array) for array in (flat[0], *buffers, *flat[1:])]

    return join


def make_fold(computation: Computation, kind: OptimizerKind) -> Callable[..., tuple[Layered, AnyArray, AnyArray]]:
    """Return the function `fold(arrays, examples, order, schedule, numbers, first, stop, address, size)`.

    It folds the update over the batches from number `first` up to `stop`, each of `size` examples in that order, and returns
    `(arrays, sums, finite)`. `sums` has a row for each batch of the epoch, and `finite` tells for each `Fault` whether the
    values are finite. Where the optimizer keeps a gradient that is not finite in its slots, gradients are not checked, and
    count as finite.
    """
    update = make_update(computation)
    width = 1 + sum(metric.width(computation.model.outputs) for metric in computation.metrics)

    def fold(
        arrays: Layered,
        examples: tuple[AnyArray, ...],
        order: AnyArray,
        schedule: Schedule,
        numbers: Sequence[Sequence[Any]],
        first: AnyArray,
        stop: AnyArray,
        address: Address,
        *,
        size: int,
    ) -> tuple[Layered, AnyArray, AnyArray]:
        full, rest = divmod(len(order), size)
        seed, step = address

        def fold_batch(i: AnyArray, batch: list[AnyArray], arrays: Layered, sums: AnyArray, finite: AnyArray) -> Any:
            at_step = jax.tree.map(lambda values: values[i], schedule)
            arrays, batch_sums, gradient = update(
                arrays, batch, at_step, kind.bind(numbers), (seed, step + jnp.asarray(i, np.uint64))
            )
            finite = finite if kind.keeps_non_finite else finite & is_finite(gradient)
            return arrays, sums.at[i].set(batch_sums), finite

        def gather(rows: AnyArray) -> list[AnyArray]:
            return [array[rows] for array in examples]

        def fold_full_batch(i: AnyArray, carry: Any) -> Any:
            return fold_batch(i, gather(lax.dynamic_slice(order, (i * size,), (size,))), *carry)

        def fold_block(block: AnyArray, carry: Any) -> Any:
            start = block * at_once
            gathered = gather(lax.dynamic_slice(padded, (start * size,), (at_once * size,)))

            def fold_gathered(i: AnyArray, carry: Any) -> Any:
                batch = [lax.dynamic_slice_in_dim(array, (i - start) * size, size) for array in gathered]
                return fold_batch(i, batch, *carry)

            return lax.fori_loop(jnp.maximum(first, start), jnp.minimum(last, start + at_once), fold_gathered, carry)

        at_once = min(full, _batches_at_once(examples[0], size))
        carry = arrays, jnp.zeros((len(schedule.lrs), width), np.float64), jnp.asarray(True)
        if full:
            last = jnp.minimum(stop, full)
            if at_once > 1:
                padded = jnp.pad(order[: full * size], (0, -full % at_once * size))
                carry = lax.fori_loop(first // at_once, -(-last // at_once), fold_block, carry)
            else:
                carry = lax.fori_loop(first, last, fold_full_batch, carry)
        if rest:
            carry = lax.cond(stop > full, lambda c: fold_batch(full, gather(order[full * size :]), *c), lambda c: c, carry)
        arrays, sums, finite = carry
        of_arrays = map(is_finite, (arrays.params, arrays.slots, arrays.buffers))
        return arrays, sums, jnp.stack([jnp.isfinite(sums[:, 0]).all(), finite, *of_arrays])

    return fold


def _batches_at_once(x: AnyArray, size: int) -> int:
    """Return the number of batches that are gathered together.

    On a CPU XLA gathers a batch of middle size in several threads, which takes longer than the gathering itself: a fifth of a
    step of 17,000 parameters. Smaller batches are gathered in one thread, and larger ones take much longer to train.
    """
    nbytes = size * x[0].size * x.dtype.itemsize
    return max(1, GATHERED // nbytes) if nbytes >= THREADED else 1


def make_update(computation: Computation) -> Callable[..., tuple[Layered, AnyArray, Tree]]:
    """Return the function `update(arrays, batch, schedule, parts, address) -> (arrays, sums, gradient)`.

    `schedule` has the values of this update, and `parts` are those of the optimizer.
    """
    layout = computation.model.layout
    gradient_of = make_gradient(computation, make_forward(computation))

    def update(
        arrays: Layered, batch: list[AnyArray], schedule: Schedule, parts: Sequence[Part], address: Address
    ) -> tuple[Layered, AnyArray, Tree]:
        params, buffers, slots = arrays
        lr, count, scalars = schedule
        gradient, buffers, sums = gradient_of(params, buffers, batch, *address)
        direction, slots = run_kernels(parts, layout, gradient, slots, params, StepContext(count, lr), scalars)
        return Layered(jax.tree.map(lambda p, d: p - lr * d, params, direction), buffers, slots), sums, gradient

    return update


def make_check(computation: Computation) -> Callable[..., AnyArray]:
    """Return the function `check(arrays, examples, rows, address) -> finite` of the gradient of one batch.

    The fold does not check the gradients that the optimizer keeps; this names the fault of a step that failed.
    """
    gradient_of = make_gradient(computation, make_forward(computation))

    def check(arrays: Layered, examples: tuple[AnyArray, ...], rows: AnyArray, address: Address) -> AnyArray:
        gradient, _, _ = gradient_of(arrays.params, arrays.buffers, [array[rows] for array in examples], *address)
        return is_finite(gradient)

    return check


def is_finite(arrays: Tree) -> AnyArray:
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
