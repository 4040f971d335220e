"""Optimizers as elementwise kernels, and the one pass over memory that applies any chain of them.

A transformation has a scalar part, `scalars(count, norm)`, and an elementwise `kernel`, written as plain array arithmetic. The
pass runs the kernels of a whole chain block by block, so that what lies between them stays in the cache. As each element is
computed on its own, the size of a block changes no bit.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fnloop.record import owned, record
from fnloop.typing import Array

BLOCK = 1 << 14  # elements of a block

Finish = Callable[[Any, Any], Any]
Pass = Callable[..., None]


@record
class OptimizerState:
    """The state of any optimizer: the number of updates applied, and its slots, each of the parameters' shape, (P,).

    The slots of a chain are those of its parts, one after the other.
    """

    count: int
    slots: tuple[Array, ...]


class Elementwise:
    """What a kernel needs to be an optimizer: `init` and `update`. A subclass gives the kernel and says what it needs."""

    __slots__ = ()
    slots = 0  # arrays of the parameters' shape that the kernel keeps
    needs_norm = False  # whether the scalars need the norm of the gradient that comes in

    def scalars(self, count: Any, norm: Any) -> Any:
        """What the kernel needs beside arrays, for the count-th update (from 1) and the norm of its gradient."""
        return ()

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        """The direction and the new slots, element by element."""
        raise NotImplementedError

    @property
    def parts(self) -> "tuple[Elementwise, ...]":
        """The transformations in their order."""
        return (self,)

    def init(self, vector: Array) -> OptimizerState:
        """The state before the first update: slots of zeros."""
        zeros = owned(np.zeros_like(vector))
        return OptimizerState(0, tuple(zeros for part in self.parts for _ in range(part.slots)))

    def update(self, gradient: Array, state: OptimizerState, vector: Array) -> tuple[Array, OptimizerState]:
        """The direction, by which the parameters move as `vector - lr * direction`, and the next state.

        Shapes: gradient, vector and direction are (P,).
        """
        if gradient.shape != vector.shape:
            raise ValueError(f"gradient must have the parameters' shape {vector.shape}, got {gradient.shape}")
        direction, slots = np.empty_like(vector), [np.empty_like(slot) for slot in state.slots]
        count = state.count + 1
        make_pass(self)(gradient, count, state.slots, vector, lambda d, params: d, direction, slots)
        return direction, OptimizerState(count, tuple(owned(slot) for slot in slots))


def make_pass(optimizer: Elementwise, block: int = BLOCK) -> Pass:
    """The function that writes `finish(direction, params)` and the new slots, in one pass over memory.

    It is called as `run(gradient, count, slots, params, finish, out, new_slots)`; what it writes may be what it reads, as no
    element depends on another. Only a norm asked for behind another transformation costs a pass more: it must be known before
    it is used.
    """
    groups = _split_at_norms(optimizer.parts)

    def run(
        gradient: Array, count: int, slots: Sequence[Array], params: Array, finish: Finish, out: Array, new: Sequence[Array]
    ) -> None:
        for group in groups:
            norm = global_norm(gradient) if group and group[0].needs_norm else None
            staged = [(part, part.scalars(count, norm)) for part in group]
            width = sum(part.slots for part in group)
            last = finish if group is groups[-1] else lambda direction, _: direction
            for start in range(0, params.shape[-1], block):
                at = slice(start, start + block)
                _run_kernels(staged, gradient[at], slots[:width], params[at], last, out, new, at)
            gradient, slots, new = out, slots[width:], new[width:]

    return run


def _run_kernels(
    staged: Sequence[tuple[Elementwise, Any]],
    value: Array,
    slots: Sequence[Array],
    params: Array,
    finish: Finish,
    out: Array,
    new: Sequence[Array],
    at: slice,
) -> None:
    """One block through the kernels of a group."""
    first = 0
    for part, scalars in staged:
        behind = first + part.slots
        value, kept = part.kernel(value, [slot[at] for slot in slots[first:behind]], params, scalars)
        for slot, block in zip(new[first:behind], kept, strict=True):
            slot[at] = block
        first = behind
    out[at] = finish(value, params)


def global_norm(gradient: Any) -> Any:
    """The Euclidean norm, scaled by the largest element so that no square overflows or vanishes."""
    xp = gradient.__array_namespace__()
    peak = xp.max(xp.abs(gradient))
    scale = xp.where((peak > 0) & xp.isfinite(peak), peak, 1)
    return scale * xp.sqrt(xp.sum(xp.square(gradient / scale)))


def _split_at_norms(parts: Sequence[Elementwise]) -> list[list[Elementwise]]:
    groups: list[list[Elementwise]] = [[]]
    for part in parts:
        if part.needs_norm and groups[-1]:
            groups.append([])
        groups[-1].append(part)
    return groups
