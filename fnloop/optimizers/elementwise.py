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

BLOCK = 1 << 15  # elements of a block

Finish = Callable[[Array, Array, Array], None]
Pass = Callable[[Array, int, Sequence[Array], Array, Finish, Array], None]
Staged = Sequence[tuple["Elementwise", Any]]


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

        The slots are the kernel's own: `m *= b1` spares an array, and means the same where arrays cannot be changed. Gradient
        and params are not.
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
        direction, slots = np.empty_like(vector), [slot.copy() for slot in state.slots]
        make_pass(self)(gradient, state.count + 1, slots, vector, _keep, direction)
        return direction, OptimizerState(state.count + 1, tuple(owned(slot) for slot in slots))


def _keep(direction: Array, params: Array, out: Array) -> None:
    out[...] = direction


def make_pass(optimizer: Elementwise, block: int = BLOCK) -> Pass:
    """The function that moves the slots and writes `finish(direction, params, out)`, in one pass over memory.

    It is called as `run(gradient, count, slots, params, finish, out)`; `out` may be the parameters themselves, as no element
    depends on another. Only a norm asked for behind another transformation costs a pass more: it must be known before use.
    """
    groups = _split_at_norms(optimizer.parts)

    def run(gradient: Array, count: int, slots: Sequence[Array], params: Array, finish: Finish, out: Array) -> None:
        for group in groups:
            norm = global_norm(gradient) if group and group[0].needs_norm else None
            staged = [(part, part.scalars(count, norm)) for part in group]
            last, direction = (finish, out) if group is groups[-1] else (_keep, np.empty_like(gradient))
            for start in range(0, params.shape[-1], block):
                at = slice(start, start + block)
                here = params[at]
                last(_run_kernels(staged, gradient[at], slots, here, at), here, direction[at])
            gradient, slots = direction, slots[sum(part.slots for part in group) :]

    return run


def _run_kernels(staged: Staged, value: Array, slots: Sequence[Array], params: Array, at: slice) -> Array:
    """One block through the kernels of a group: its slots are moved, its direction is returned."""
    first = 0
    for part, scalars in staged:
        views = [slot[at] for slot in slots[first : first + part.slots]]
        value, kept = part.kernel(value, views, params, scalars)
        for view, new in zip(views, kept, strict=True):
            if new is not view:
                view[...] = new
        first += part.slots
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
