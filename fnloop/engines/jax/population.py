"""The fold of a population on JAX: the program of one run, mapped over members."""

from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import numpy as jnp

from fnloop.core.arrays import AnyArray, Array, read_only
from fnloop.core.random import permutation
from fnloop.engines.base import Arrays, Carry, Computation, PopulationFold, PopulationMeasure, Sums
from fnloop.engines.jax.fold import PROGRAMS, Address, Layered, Schedule, make_fold, make_join, make_split, shared_part
from fnloop.engines.jax.hyperparameters import OptimizerKind, split_numbers
from fnloop.engines.jax.measure import make_measure
from fnloop.engines.jax.schedule import make_schedule
from fnloop.engines.jax.tracing import code_of, with_float64
from fnloop.metrics.metric import make_merge


class PopulationProgram(NamedTuple):
    """The compiled functions of members of one kind, as in `Program`, with a leading axis of members.

    Args:
        fold: Folds the updates of all members.
        measure: The sums of each member over a dataset.
        refused: Whether JAX could not map the fold over members; it is appended to.
    """

    fold: Callable[..., tuple[list[AnyArray], AnyArray, AnyArray]]
    measure: Callable[..., AnyArray]
    refused: list[bool]


@lru_cache(maxsize=PROGRAMS // 2)
def _compile(code: tuple[Any, ...], computation: Computation, kind: OptimizerKind) -> PopulationProgram:
    measure = make_measure(computation)

    def measure_members(vectors: AnyArray, buffers: Any, *examples: AnyArray) -> AnyArray:
        return jax.vmap(lambda vector, own: measure(vector, own, *examples))(vectors, buffers)

    return PopulationProgram(
        fold=jax.jit(_map_fold(computation, kind), static_argnames="size"), measure=jax.jit(measure_members), refused=[]
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
    device: jax.Device,
) -> PopulationFold:
    """Return the function of `Engine.make_population_fold`.

    Args:
        computations: A computation for each member.
        examples: All examples, on the device.
        rows: For each member the rows that it trains on.
        device: The device.
    """
    members = len(computations)
    kinds, numbers = zip(*(split_numbers(each.optimizer, each.dtype) for each in computations), strict=True)
    program = _get_program(computations[0], kinds[0])
    same_kind, size = all(kind == kinds[0] for kind in kinds[1:]), computations[0].update_size
    pad = padded(members)

    def fold(carries: Sequence[Carry], rates: Sequence[Sequence[float]], epoch: int, first: int) -> list[Carry | None]:
        if not same_kind or program.refused:
            return [None] * members
        batches, stop = -(-len(rows[0]) // size), first + len(rates[0])
        schedules = [make_schedule(*each, first, batches) for each in zip(computations, carries, rates, strict=True)]
        orders = [
            own[permutation(len(own), each.seed, epoch)].astype(np.int32) for own, each in zip(rows, computations, strict=True)
        ]
        arrays = [(carry.vector, *carry.buffers, *carry.slots) for carry in carries]
        seeds = np.array([computations[k].seed for k in pad], np.uint64)
        arguments = (_stack(arrays, pad), examples, _stack(orders, pad), _stack(schedules, pad), _stack(numbers, pad))
        try:
            with with_float64():
                results = program.fold(
                    *jax.device_put(arguments, device), first, stop, (seeds, np.uint64(carries[0].step - first)), size=size
                )
        except jax.errors.JaxRuntimeError:
            raise
        except Exception:  # a part of the user's that JAX cannot map
            program.refused.append(True)
            return [None] * members
        return _to_carries(computations[0], carries, results, first, stop)

    return fold


def make_population_measure(
    computation: Computation, examples: tuple[AnyArray, ...], solo: Callable[[Array, Arrays], Sums]
) -> PopulationMeasure:
    """Return the function of `Engine.make_population_measure`.

    Args:
        computation: The computation of any member.
        examples: The examples, on the device.
        solo: The function that measures one member.
    """
    kind, _ = split_numbers(computation.optimizer, computation.dtype)
    program, merge = _get_program(computation, kind), make_merge(computation.metrics, computation.model.outputs)

    def measure(vectors: Sequence[Array], buffers: Sequence[Arrays]) -> list[Sums]:
        members = len(vectors)
        if program.refused:
            return [solo(*member) for member in zip(vectors, buffers, strict=True)]
        pad = padded(members)
        with with_float64():
            sums = np.asarray(program.measure(_stack(vectors, pad), _stack(buffers, pad), *examples))
        return [reduce(merge, sums[k].tolist()) for k in range(members)]

    return measure


def _get_program(computation: Computation, kind: OptimizerKind) -> PopulationProgram:
    shared = shared_part(computation)
    return _compile((code_of(shared), code_of(kind)), shared, kind)


def _stack(trees: Sequence[Any], members: Sequence[int]) -> Any:
    """Return the trees of these members as one tree, whose leaves have a leading axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *(trees[k] for k in members))


def _to_carries(
    computation: Computation, carries: Sequence[Carry], results: tuple[Any, Any, Any], first: int, stop: int
) -> list[Carry | None]:
    """Return the carry of each member, or None where anything was not finite."""
    arrays, sums, finite = jax.device_get(results)
    merge, n = make_merge(computation.metrics, computation.model.outputs), len(carries[0].buffers)

    def carry_of(k: int, carry: Carry) -> Carry:
        vector, *others = (read_only(array[k].copy()) for array in arrays)
        return Carry(
            vector=vector,
            buffers=tuple(others[:n]),
            slots=tuple(others[n:]),
            optimizer_count=carry.optimizer_count + stop - first,
            step=carry.step + stop - first,
            sums=reduce(merge, ([carry.sums] if carry.sums else []) + sums[k, first:stop].tolist()),
        )

    return [carry_of(k, carry) if finite[k].all() else None for k, carry in enumerate(carries)]
