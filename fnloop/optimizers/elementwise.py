"""Optimizers as elementwise kernels, and the one pass over memory that applies any chain of them.

A transformation has a scalar part, `scalars(count, norm)`, and an elementwise `kernel`, written as plain array arithmetic. The
pass runs the kernels of a whole chain block by block, so that what lies between them stays in the cache. As each element is
computed on its own, the size of a block changes no bit.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from fnloop.record import owned, record
from fnloop.typing import Array

BLOCK = 1 << 16  # elements of a block

Finish = Callable[[Array, Array, Array], None]
Run = Callable[[int, Finish], None]


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
        """The direction and the new slots, element by element.

        Gradient and slots are the kernel's own: `m *= b1` spares an array, and means the same where arrays cannot be changed.
        The params are not.
        """
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
        direction, slots = gradient.copy(), [slot.copy() for slot in state.slots]
        make_pass(self, direction, slots, vector)(state.count + 1, _keep)
        return direction, OptimizerState(state.count + 1, tuple(owned(slot) for slot in slots))


def make_pass(optimizer: Elementwise, gradient: Array, slots: Sequence[Array], params: Array, block: int = BLOCK) -> Run:
    """The function `run(count, finish)` that moves the slots in one pass over these arrays, whose gradient it consumes.

    Block by block it calls `finish(direction, gradient, params)`, for which the gradient is room to write. Only a norm asked
    for behind another transformation costs a pass more: it must be known before use.
    """
    stages = []
    for group in _split_at_norms(optimizer.parts):
        ends = list(accumulate((part.slots for part in group), initial=0))
        pieces = [slice(start, start + block) for start in range(0, params.size, block)]
        views = [(gradient[at], [[slot[at] for slot in slots[a:b]] for a, b in pairwise(ends)], params[at]) for at in pieces]
        stages.append((group, views))
        slots = slots[ends[-1] :]

    def run(count: int, finish: Finish) -> None:
        for group, views in stages:
            norm = global_norm(gradient) if group and group[0].needs_norm else None
            kernels = [(part.kernel, part.scalars(count, norm)) for part in group]
            last = finish if group is stages[-1][0] else _keep
            for value, kept, here in views:
                last(_run_kernels(kernels, value, kept, here), value, here)

    return run


def _keep(direction: Array, gradient: Array, params: Array) -> None:
    gradient[...] = direction


def _run_kernels(kernels: Sequence[tuple[Any, Any]], value: Array, slots: Sequence[Sequence[Array]], params: Array) -> Array:
    """One block through the kernels of a group: its slots are moved, its direction is returned."""
    for (kernel, scalars), views in zip(kernels, slots, strict=True):
        value, kept = kernel(value, views, params, scalars)
        for view, new in zip(views, kept, strict=True):
            if new is not view:
                view[...] = new
    return value


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
