"""The fold of a population on JAX: the program of one run, mapped over members."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import numpy as jnp

from fnloop.core.arrays import AnyArray, Array, read_only
from fnloop.data.batching import member_orders
from fnloop.engines.base import Arrays, Carry, Computation, PopulationFold, PopulationMeasure, Sums
from fnloop.engines.jax.fold import Address, Layered, Schedule, make_fold, make_join, make_split, shared_part
from fnloop.engines.jax.hyperparameters import OptimizerKind, split_numbers
from fnloop.engines.jax.kept_programs import KEPT
from fnloop.engines.jax.measure import Parts, make_measure, make_outputs, sum_up_rest
from fnloop.engines.jax.schedule import make_schedules
from fnloop.engines.jax.tracing import code_of, with_float64
from fnloop.metrics.metric import add, make_merge


class PopulationProgram(NamedTuple):
    """The compiled functions of members of one kind, as in `Program`, with a leading axis of members.

    Args:
        fold: Folds the updates of all members.
        measure: The sums of each member over whole chunks of a dataset.
        outputs: The outputs of each member.
        refused: Whether JAX could not map the fold over members; it is appended to.
    """

    fold: Callable[..., tuple[list[AnyArray], AnyArray, AnyArray]]
    measure: Callable[..., AnyArray]
    outputs: Callable[..., AnyArray]
    refused: list[bool]


def _compile(computation: Computation, kind: OptimizerKind) -> PopulationProgram:
    measure = make_measure(computation)

    def measure_members(vectors: AnyArray, buffers: Any, *examples: AnyArray) -> AnyArray:
        return jax.vmap(lambda vector, own: measure(vector, own, *examples))(vectors, buffers)

    return PopulationProgram(
        fold=jax.jit(_map_fold(computation, kind), static_argnames="size"),
        measure=jax.jit(measure_members),
        outputs=jax.jit(jax.vmap(make_outputs(computation.model), in_axes=(0, 0, None))),
        refused=[],
    )


def _map_fold(computation: Computation, kind: OptimizerKind) -> Callable[..., tuple[list[AnyArray], AnyArray, AnyArray]]:
    """Return the function of flat arrays (K, ...), in which each member has its own order, schedule, numbers and seed."""
    split, fold, join = make_split(computation.model), make_fold(computation, kind), make_join()

    def fold_members(
        arrays: Sequence[AnyArray],
        examples: tuple[AnyArray, ...],
        orders: AnyArray,
        schedules: Schedule,
        numbers: Any,
        first: AnyArray,
        stop: AnyArray,
        addresses: Address,
        *,
        size: int,
    ) -> tuple[list[AnyArray], AnyArray, AnyArray]:
        def fold_member(
            own: Sequence[AnyArray], order: AnyArray, schedule: Schedule, bound: Any, seed: AnyArray
        ) -> tuple[list[AnyArray], AnyArray, AnyArray]:
            layered: Layered = split(*own)
            layered, sums, finite = fold(
                layered, examples, order, schedule, bound, first, stop, (seed, addresses[1]), size=size
            )
            return join(layered), sums, finite

        return jax.vmap(fold_member)(arrays, orders, schedules, jax.tree.map(_weak, numbers), addresses[0])

    return fold_members


def _weak(numbers: AnyArray) -> AnyArray:
    """Return numbers that do not widen the arrays that they meet, as Python's do not."""
    return jnp.full(numbers.shape, 0.0).at[:].set(numbers)


def padded_size(members: int) -> int:
    """Return the size of the axis for so many members: 2^n or 1.5 * 2^n, so that few programs serve all sizes.

    Examples:
        >>> [padded_size(members) for members in (1, 2, 5, 9, 100)]
        [1, 2, 6, 12, 128]
    """
    power = 1 << (members - 1).bit_length()
    return power * 3 // 4 if power > 2 and members <= power * 3 // 4 else power


def padded(members: int) -> list[int]:
    """Return the members on the axis: all, and the last one again up to its size."""
    return [*range(members), *[members - 1] * (padded_size(members) - members)]


def make_population_fold(
    computations: Sequence[Computation],
    examples: tuple[AnyArray, ...],
    rows: Sequence[Array],
) -> PopulationFold:
    """Return the function of `Engine.make_population_fold`.

    Args:
        computations: A computation for each member.
        examples: All examples, on the device.
        rows: For each member the rows that it trains on.
    """
    members = len(computations)
    kinds, numbers = zip(*(split_numbers(each.optimizer, each.dtype) for each in computations), strict=True)
    program = _get_program(computations[0], kinds[0])
    same_kind, size = all(kind == kinds[0] for kind in kinds[1:]), computations[0].update_size
    pad = padded(members)
    schedules = make_schedules(computations) if same_kind else None
    own_numbers = _stack(numbers, pad) if same_kind else None
    own_seeds = [computation.seed for computation in computations]
    seeds = np.array([own_seeds[k] for k in pad], np.uint64)

    def fold(carries: Sequence[Carry], rates: Sequence[Sequence[float]], epoch: int, first: int) -> list[Carry | None]:
        if schedules is None or program.refused:
            return [None] * members
        batches, stop = -(-len(rows[0]) // size), first + len(rates[0])
        arrays = list(zip(*((carry.vector, *carry.buffers, *carry.slots) for carry in carries), strict=True))
        order = member_orders(len(rows[0]), own_seeds, epoch, rows).astype(np.int32)[pad]
        schedule = jax.tree.map(lambda values: values[pad], schedules(carries[0].optimizer_count, rates, first, batches))
        stacked = [np.stack([own[k] for k in pad]) for own in arrays]
        address = seeds, np.uint64(carries[0].step - first)
        try:
            with with_float64():
                results = program.fold(stacked, examples, order, schedule, own_numbers, first, stop, address, size=size)
        except jax.errors.JaxRuntimeError:
            raise
        except Exception:  # a part of the user's that JAX cannot map
            program.refused.append(True)
            return [None] * members
        return _to_carries(computations[0], carries, results, first, stop)

    return fold


def make_population_measure(
    computation: Computation, parts: Parts, solo: Callable[[Array, Arrays], Sums]
) -> PopulationMeasure:
    """Return the function of `Engine.make_population_measure`.

    Args:
        computation: The computation of any member.
        parts: The examples.
        solo: The function that measures one member.
    """
    kind, _ = split_numbers(computation.optimizer, computation.dtype)
    program, merge = _get_program(computation, kind), make_merge(computation.metrics, computation.model.outputs)

    def measure(vectors: Sequence[Array], buffers: Sequence[Arrays]) -> list[Sums]:
        members = len(vectors)
        if program.refused:
            return [solo(*member) for member in zip(vectors, buffers, strict=True)]
        pad = padded(members)
        own = _stack(vectors, pad), _stack(buffers, pad)
        sums: list[list[Sums]] = [[] for _ in range(members)]
        for chunks in parts.chunks:
            with with_float64():
                of_chunks = np.asarray(program.measure(*own, *chunks))
            sums = [before + new for before, new in zip(sums, of_chunks[:members].tolist(), strict=True)]
        if parts.rest is not None:
            outputs = np.asarray(program.outputs(*own, parts.features))[:members]
            sums = [[*before, new] for before, new in zip(sums, sum_up_rest(computation, parts.rest, outputs), strict=True)]
        return [reduce(merge, of_member) for of_member in sums]

    return measure


def _get_program(computation: Computation, kind: OptimizerKind) -> PopulationProgram:
    shared = shared_part(computation)
    key = "population", code_of(shared), code_of(kind), shared, kind
    return KEPT.get(key, lambda: _compile(shared, kind))


def _stack(trees: Sequence[Any], members: Sequence[int]) -> Any:
    """Return the trees of these members as one tree, whose leaves have a leading axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *(trees[k] for k in members))


def _to_carries(
    computation: Computation, carries: Sequence[Carry], results: tuple[Any, Any, Any], first: int, stop: int
) -> list[Carry | None]:
    """Return the carry of each member, or None where anything was not finite."""
    arrays, sums, finite = jax.device_get(results)
    merged, n = _merge_batches(computation, carries, sums[: len(carries), first:stop]), len(carries[0].buffers)

    def carry_of(k: int, carry: Carry) -> Carry:
        vector, *others = (read_only(array[k].copy()) for array in arrays)
        return Carry(
            vector=vector,
            buffers=tuple(others[:n]),
            slots=tuple(others[n:]),
            optimizer_count=carry.optimizer_count + stop - first,
            step=carry.step + stop - first,
            sums=merged[k],
        )

    sound = finite.all(1)
    return [carry_of(k, carry) if sound[k] else None for k, carry in enumerate(carries)]


def _merge_batches(computation: Computation, carries: Sequence[Carry], sums: Array) -> list[Sums]:
    """Return the sums of each member over the batches so far; `sums` are those of the last ones, (K, batches, width)."""
    merge = make_merge(computation.metrics, computation.model.outputs)
    batches = [np.array([carry.sums for carry in carries])] if carries[0].sums else []
    batches += list(sums.swapaxes(0, 1))
    if merge is add:
        merged: list[Sums] = reduce(np.add, batches).tolist()
        return merged
    return [reduce(merge, member) for member in np.stack(batches, axis=1).tolist()]
