"""Optimizers as elementwise kernels, and the one pass over memory that applies any chain of them.

A transformation has a scalar part, `scalars(now)`, and an elementwise `kernel`, written as plain array arithmetic. The pass
runs the kernels of a whole chain block by block, so that what lies between them stays in the cache. Each element is computed
on its own, so the size of a block changes no bit.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from math import prod
from typing import Any, Literal, NamedTuple

import numpy as np

from fnloop.core.arrays import Array, read_only
from fnloop.core.digest import stable_repr
from fnloop.core.parameters import Slot
from fnloop.core.random import normal
from fnloop.core.records import evolve, frozen
from fnloop.optimizers.hints import HINTS
from fnloop.optimizers.norms import norm_of

BLOCK = 1 << 16  # elements of a block

Finish = Callable[[Array, float, Array, Array], None]
Run = Callable[[int, float, Finish], None]


@frozen
class OptimizerState:
    """The state of any optimizer: the number of updates applied, and its slots, each of the parameters' shape, (P,).

    The slots of a chain are those of its parts, one after the other. Each has a name with the part that it belongs to, such as
    `Adam(b1=0.9, b2=0.999, eps=1e-08).mu`: a slot means nothing to another part. If `averaged`, the last slot is an average of
    the parameters.
    """

    count: int
    slots: tuple[Array, ...]
    names: tuple[str, ...] = ()
    averaged: bool = False


class StepContext(NamedTuple):
    """What scalars are made of: the number of the update, from 1, its learning rate, and what the part says that it `needs`.

    `norm` is the `Norm` of the gradient that comes in; `layer` is an index into `Params.layers`; `gradient` and `params` are
    one array's, in its own shape, `place` its index among them, and `kind` its name in its layer's record (None without a
    layout); `normal` draws on the engine as `fnloop.core.random.normal` does.
    `before` is the part as it was at the update before, if its hyperparameters follow schedules.
    What depends on no values is computed for all updates of an epoch at once under JAX: `count` and `lr` are then arrays.
    """

    count: Any
    lr: Any
    norm: Any = None
    gradient: Any = None
    params: Any = None
    layer: int | None = None
    before: Any = None
    place: int = 0
    normal: Any = normal
    kind: str | None = None


class Scaled(NamedTuple):
    """A direction of which each element is still to be multiplied by a number; the array is nobody else's.

    A kernel may return it: the number then goes into the learning rate, and costs no pass over the direction.
    """

    array: Any
    factor: Any


def materialize(direction: Any) -> Any:
    """The direction as an array."""
    if not isinstance(direction, Scaled):
        return direction
    array, factor = direction
    array *= factor
    return array


class Elementwise:
    """What a kernel needs to be an optimizer: `init` and `update`. A subclass gives the kernel and says what it needs.

    Its scalars need nothing but count and rate (`needs = None`), the norm of the whole gradient (`"norm"`), the layer and the
    kind of an array (`"layer"`: they are made once an array), or the array's gradient and parameters as well (`"arrays"`).
    Scalars of an array broadcast against its rows: for a shape (D, K) they may be of shape (K,) or (1, K).
    """

    __slots__ = ()
    slots: tuple[str, ...] = ()  # names of the arrays of the parameters' shape that the kernel keeps
    needs: Literal["norm", "layer", "arrays"] | None = None
    draws = False  # whether its scalars are of each array's own shape, as noise is: such an array is not cut into blocks
    absorbs = False  # whether a gradient that is not finite leaves a slot so for ever: then nobody needs to look at each one
    argument_hints = HINTS  # for arguments that its constructor does not take
    averages = False  # whether its last slot is an average of the parameters after the update: such a part stands last

    def scalars(self, now: StepContext) -> Any:
        """What the kernel needs beside arrays: a number, or a tuple of them, or None."""
        return ()

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        """The direction, which may be `Scaled`, and the new slots, element by element.

        Gradient and slots are the kernel's own: `m *= b1` spares an array, and means the same where arrays cannot be changed.
        The params are not.
        """
        raise NotImplementedError

    @property
    def parts(self) -> "tuple[Elementwise, ...]":
        """The transformations in their order."""
        return (self,)

    def initial(self, vector: Array) -> tuple[Array, ...]:
        """The first value of each slot of the kernel: zeros."""
        return (read_only(np.zeros_like(vector)),) * len(self.slots)

    def init(self, vector: Array) -> OptimizerState:
        """The state before the first update."""
        slots = tuple(slot for part in self.parts for slot in part.initial(vector))
        return OptimizerState(0, slots, slot_names(self), any(part.averages for part in self.parts))

    def update(
        self, gradient: Array, state: OptimizerState, vector: Array, *, lr: float = 1.0, layout: Sequence[Slot] = ()
    ) -> tuple[Array, OptimizerState]:
        """The direction, by which the parameters move as `vector - lr * direction`, and the next state.

        Args:
            lr: the rate that the parameters will move at; most optimizers do not ask for it.
            layout: where each array stands, `model.layout`; without it the vector counts as one array of layer 0.
        Shapes: gradient, vector and direction are (P,).
        """
        if gradient.shape != vector.shape:
            raise ValueError(f"gradient must have the parameters' shape {vector.shape}, got {gradient.shape}")
        direction, slots = gradient.copy(), [slot.copy() for slot in state.slots]
        make_pass(self, direction, slots, vector, layout)(state.count + 1, lr, _keep)
        return direction, evolve(state, count=state.count + 1, slots=tuple(read_only(slot) for slot in slots))


class Wrapper(Elementwise):
    """What a transformation around another, its `part`, needs to be one: it keeps and asks for what that one does."""

    __slots__ = ()
    part: Elementwise

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.part.slots

    @property
    def needs(self) -> Any:  # type: ignore[override]
        return self.part.needs

    @property
    def draws(self) -> bool:  # type: ignore[override]
        return self.part.draws

    @property
    def averages(self) -> bool:  # type: ignore[override]
        return self.part.averages

    def initial(self, vector: Array) -> tuple[Array, ...]:
        return self.part.initial(vector)


def make_pass(
    optimizer: Elementwise,
    gradient: Array,
    slots: Sequence[Array],
    params: Array,
    layout: Sequence[Slot] = (),
    block: int = BLOCK,
) -> Run:
    """The function `run(count, lr, finish)` that moves the slots in one pass over these arrays, whose gradient it consumes.

    Block by block it calls `finish(array, factor, gradient, params)`: the direction is the array times the factor, and the
    gradient is room to write. Only what is asked of values behind another transformation costs a pass more: they must be known
    before use.
    """
    stages = []
    for group in _split_where_values_are_needed(optimizer.parts):
        ends = list(accumulate((len(part.slots) for part in group), initial=0))
        apart = any(part.needs in ("layer", "arrays") for part in group)
        rows = max(1, params.size) if any(part.draws for part in group) else block
        arrays = []
        for index, place in enumerate((apart and layout) or (Slot(0, params.size, params.shape),)):
            value, here, *own = (place.view(flat) for flat in (gradient, params, *slots[: ends[-1]]))
            kept = [own[a:b] for a, b in pairwise(ends)]
            pieces = [
                (value[at], [[slot[at] for slot in part] for part in kept], here[at]) for at in _blocks(value.shape, rows)
            ]
            known = {"gradient": value, "params": here, "layer": place.layer, "place": index}
            known["kind"] = place.kind if layout else None
            arrays.append((known if apart else {}, pieces))
        stages.append((group, arrays))
        slots = slots[ends[-1] :]

    def run(count: int, lr: float, finish: Finish) -> None:
        for group, arrays in stages:
            norm = norm_of(gradient) if group and group[0].needs == "norm" else None
            last = finish if group is stages[-1][0] else _keep
            for known, pieces in arrays:
                now = StepContext(count, lr, norm, **known)
                kernels = [(part.kernel, part.scalars(now)) for part in group]
                for value, kept, here in pieces:
                    last(*_run_kernels(kernels, value, kept, here), value, here)

    return run


def _blocks(shape: tuple[int, ...], block: int) -> list[Any]:
    """Whole rows, as many as make a block."""
    if not shape:
        return [...]
    rows = max(1, block // max(1, prod(shape[1:])))
    return [slice(start, start + rows) for start in range(0, shape[0], rows)]


def _keep(array: Array, factor: float, gradient: Array, params: Array) -> None:
    gradient[...] = array if factor == 1 else array * factor


def _run_kernels(kernels: Sequence[tuple[Any, Any]], value: Any, slots: Sequence[Sequence[Array]], params: Array) -> Scaled:
    """One block through the kernels of a group: its slots are moved, its direction is returned."""
    before: Sequence[Array] = ()
    for (kernel, scalars), views in zip(kernels, slots, strict=True):
        value = materialize(value)
        for view in before:
            if value is view:
                value = value.copy()  # the kernel before keeps it, this one may write over it
        value, kept = kernel(value, views, params, scalars)
        before = views
        for view, new in zip(views, kept, strict=True):
            if new is not view:
                view[...] = new
    return value if isinstance(value, Scaled) else Scaled(value, 1.0)


def plain(scalar: Any) -> Any:
    """A NumPy number as Python's, which does not widen the arrays it meets; an array as it is."""
    return float(scalar) if np.ndim(scalar) == 0 else scalar


def slot_names(optimizer: Elementwise) -> tuple[str, ...]:
    """The name of each slot of an optimizer, with the part that it belongs to."""
    return tuple(f"{stable_repr(part)}.{slot}" for part in optimizer.parts for slot in part.slots)


def _split_where_values_are_needed(parts: Sequence[Elementwise]) -> list[list[Elementwise]]:
    groups: list[list[Elementwise]] = [[]]
    for part in parts:
        if part.needs in ("norm", "arrays") and groups[-1]:
            groups.append([])
        groups[-1].append(part)
    return groups
