"""One pass over memory that applies all kernels of a chain.

The pass runs every kernel on one block of the arrays before it moves to the next block, so intermediate results stay in the
cache. Each element is computed independently, so the block size changes no bit.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from math import prod
from typing import Any, NamedTuple

from fnloop.core.arrays import Array
from fnloop.core.parameters import Slot
from fnloop.optimizers.kernel import Kernel, Scaled, StepContext, materialize
from fnloop.optimizers.norms import norm_of

BLOCK = 1 << 16  # elements of a block

ApplyDirection = Callable[[Array, float, Array, Array], None]
Pass = Callable[[int, float, ApplyDirection], None]


class _Block(NamedTuple):
    """Views of some rows of one array: the gradient, the slots of each kernel, the parameters."""

    gradient: Array
    slots: Sequence[Sequence[Array]]
    params: Array


class _Stage(NamedTuple):
    """Kernels that run in one pass, and for each array what its scalars may depend on, and its blocks."""

    kernels: Sequence[Kernel]
    arrays: Sequence[tuple[Mapping[str, Any], Sequence[_Block]]]


def make_pass(
    kernels: Sequence[Kernel],
    gradient: Array,
    slots: Sequence[Array],
    params: Array,
    layout: Sequence[Slot] = (),
    block: int = BLOCK,
) -> Pass:
    """Return `run(count, lr, apply)`, which updates the slots in place and overwrites the gradient.

    For each block `run` calls `apply(array, factor, scratch, params)`: the direction is `array * factor`, and `scratch` is an
    array of the same shape that may be overwritten. A kernel whose scalars depend on the values that an earlier kernel returns
    costs one more pass: these values must be complete first.

    Args:
        kernels: The parts of an optimizer, in order.
        gradient: The gradient, (P,).
        slots: The slots of all kernels, in order, each (P,).
        params: The parameters, (P,). Only `apply` changes them.
        layout: The place of each array in the vector, `model.layout`. By default the vector is one array of layer 0.
        block: Elements of a block.

    Shapes:
        gradient, slots and params: (P,); or (K, P) for K members of a population, in one block, and without a layout.
    """
    stages = []
    for group in _split_into_stages(kernels):
        size = sum(len(kernel.slots) for kernel in group)
        stages.append(_Stage(group, _split_arrays(group, gradient, slots[:size], params, layout, block)))
        slots = slots[size:]

    def run(count: int, lr: float, apply: ApplyDirection) -> None:
        for stage in stages:
            norm = norm_of(gradient) if stage.kernels and stage.kernels[0].depends_on == "norm" else None
            finish = apply if stage is stages[-1] else write_direction
            for facts, blocks in stage.arrays:
                context = StepContext(count, lr, norm, **facts)
                calls = [(kernel.kernel, kernel.scalars(context)) for kernel in stage.kernels]
                for block_gradient, block_slots, block_params in blocks:
                    finish(*_run_kernels(calls, block_gradient, block_slots, block_params), block_gradient, block_params)

    return run


def write_direction(array: Array, factor: float, gradient: Array, params: Array) -> None:
    """Write the direction over the gradient."""
    gradient[...] = array if factor == 1 else array * factor


def _split_into_stages(kernels: Sequence[Kernel]) -> list[list[Kernel]]:
    """Start a new stage at each kernel that depends on the values of the kernel before it."""
    stages: list[list[Kernel]] = [[]]
    for kernel in kernels:
        if kernel.depends_on in ("norm", "arrays") and stages[-1]:
            stages.append([])
        stages[-1].append(kernel)
    return stages


def _split_arrays(
    kernels: Sequence[Kernel], gradient: Array, slots: Sequence[Array], params: Array, layout: Sequence[Slot], block: int
) -> list[tuple[Mapping[str, Any], list[_Block]]]:
    """Return the blocks of each array; the whole vector counts as one array if no kernel depends on single arrays."""
    ends = list(accumulate((len(kernel.slots) for kernel in kernels), initial=0))
    by_array = any(kernel.depends_on in ("layer", "arrays") for kernel in kernels)
    size = max(1, params.size) if any(kernel.per_element_scalars for kernel in kernels) else block
    arrays: list[tuple[Mapping[str, Any], list[_Block]]] = []
    for index, place in enumerate((by_array and layout) or (Slot(0, params.shape[-1], params.shape[-1:]),)):
        values, array, *slot_views = (place.view(flat) for flat in (gradient, params, *slots))
        slots_of_kernels = [slot_views[a:b] for a, b in pairwise(ends)]
        blocks = [
            _Block(values[rows], [[slot[rows] for slot in views] for views in slots_of_kernels], array[rows])
            for rows in _split_rows(values.shape, size)
        ]
        kind = place.kind if layout else None
        facts = {"gradient": values, "params": array, "layer": place.layer, "place": index, "kind": kind}
        arrays.append((facts if by_array else {}, blocks))
    return arrays


def _split_rows(shape: tuple[int, ...], block: int) -> list[Any]:
    """Return slices of whole rows, each of about `block` elements."""
    if not shape:
        return [...]
    rows = max(1, block // max(1, prod(shape[1:])))
    return [slice(start, start + rows) for start in range(0, shape[0], rows)]


def _run_kernels(calls: Sequence[tuple[Any, Any]], value: Any, slots: Sequence[Sequence[Array]], params: Array) -> Scaled:
    """Apply the kernels of a stage to one block: update its slots in place and return its direction."""
    before: Sequence[Array] = ()
    for (kernel, scalars), views in zip(calls, slots, strict=True):
        value = materialize(value)
        for view in before:
            if value is view:
                value = value.copy()  # the previous kernel keeps it, this one may overwrite it
        value, new_slots = kernel(value, views, params, scalars)
        before = views
        for view, new in zip(views, new_slots, strict=True):
            if new is not view:
                view[...] = new
    return value if isinstance(value, Scaled) else Scaled(value, 1.0)
