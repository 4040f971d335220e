"""Optimizers as elementwise kernels, and the one pass over memory that applies any chain of them.

A transformation has a scalar part, `scalars(count, norm)`, and an elementwise `kernel`, written as plain array arithmetic. The
pass runs the kernels of a whole chain block by block, so that what lies between them stays in the cache. As each element is
computed on its own, the size of a block changes no bit.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fnloop.record import freeze, owned, record
from fnloop.typing import Array

BLOCK = 1 << 14  # elements of a block

Finish = Callable[[Any, Any], Any]
Update = Callable[[Array, "OptimizerState", Array], tuple[Array, "OptimizerState"]]


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
        return make_pass(self)(gradient, state, vector, lambda direction, params: direction)


def make_pass(optimizer: Elementwise, block: int = BLOCK) -> Callable[..., tuple[Array, OptimizerState]]:
    """The function `(gradient, state, vector, finish) -> (finish(direction, vector), next state)`, in one pass.

    Only a norm that is asked for behind another transformation costs one pass more: it must be known before it is used.
    """
    groups = _split_at_norms(optimizer.parts)
    widths = [sum(part.slots for part in group) for group in groups]

    def run(gradient: Array, state: OptimizerState, vector: Array, finish: Finish) -> tuple[Array, OptimizerState]:
        if gradient.shape != vector.shape:
            raise ValueError(f"gradient must have the parameters' shape {vector.shape}, got {gradient.shape}")
        count, value, new, start = state.count + 1, gradient, [], 0
        for group, width in zip(groups, widths, strict=True):
            norm = global_norm(value) if group and group[0].needs_norm else None
            scalars = [part.scalars(count, norm) for part in group]
            last = finish if group is groups[-1] else lambda direction, params: direction
            kernel = _compose(group, scalars, last)
            value, kept = _by_blocks(kernel, value, state.slots[start : start + width], vector, block)
            new += kept
            start += width
        return value, OptimizerState(count, tuple(new))

    return run


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


def _compose(parts: Sequence[Elementwise], scalars: Sequence[Any], finish: Finish) -> Callable[..., tuple[Any, list[Any]]]:
    """The kernels one after the other, each with its share of the slots, then `finish`."""

    def kernel(value: Any, slots: Sequence[Any], params: Any) -> tuple[Any, list[Any]]:
        new: list[Any] = []
        for part, part_scalars in zip(parts, scalars, strict=True):
            value, kept = part.kernel(value, slots[len(new) : len(new) + part.slots], params, part_scalars)
            new += kept
        return finish(value, params), new

    return kernel


def _by_blocks(kernel: Any, value: Array, slots: Sequence[Array], params: Array, block: int) -> tuple[Array, list[Array]]:
    size = params.shape[-1]
    if size <= block:
        result, new = kernel(value, slots, params)
        return result, [_mine(slot, value) for slot in new]
    result, new = np.empty_like(params), [np.empty_like(params) for _ in slots]
    for start in range(0, size, block):
        at = slice(start, start + block)
        result[at], kept = kernel(value[at], [slot[at] for slot in slots], params[at])
        for whole, part in zip(new, kept, strict=True):
            whole[at] = part
    return result, [owned(slot) for slot in new]


def _mine(slot: Array, gradient: Array) -> Array:
    """A slot frozen; one that a kernel took over from its arguments is copied, for it is somebody else's."""
    return freeze(slot) if slot is gradient or slot.base is not None else owned(slot)
