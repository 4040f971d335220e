"""The contract of an elementwise kernel: its slots, its scalars, and one function of arrays."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from fnloop.core.arrays import AnyArray, Array, read_only
from fnloop.core.columns import Column
from fnloop.core.random import normal

Scalars = Any  # a number, a tuple of numbers or None; under JAX arrays of one number for each update
DependsOn = Literal["norm", "layer", "arrays"]


class StepContext(NamedTuple):
    """The arguments of `scalars`: what a kernel may know about the update.

    Attributes:
        count: Number of the update, from 1. Under JAX, scalars that depend on no values are computed for a whole epoch at
            once, and `count` and `lr` are arrays.
        lr: Learning rate of the update.
        norm: The `Norm` of the incoming gradient, for `depends_on = "norm"`.
        gradient: The incoming gradient of one array, in the array's shape, for `depends_on = "arrays"`.
        params: The same array's parameters.
        layer: The array's layer, an index into `Params.layers`.
        before: The kernel with the hyperparameters of the previous update, if they follow schedules; else None.
        place: Index of the array among all arrays.
        normal: `fnloop.core.random.normal`, as the engine computes it.
        kind: Name of the array in its layer's record, such as `"weights"`; None without a layout.
    """

    count: Any
    lr: Any
    norm: Any = None
    gradient: AnyArray = None
    params: AnyArray = None
    layer: int | None = None
    before: Any = None
    place: int = 0
    normal: Any = normal
    kind: str | None = None


class Scaled(NamedTuple):
    """A direction `array * factor` whose product is not computed yet; the array belongs to the caller.

    A kernel may return it. The factor is then merged into the learning rate, which saves a pass over the direction.

    Attributes:
        array: The direction without the factor.
        factor: A number, or an array of zero dimensions.
    """

    array: AnyArray
    factor: Any


def materialize(direction: Any) -> AnyArray:
    """Return a direction as an array, with the factor of a `Scaled` applied in place."""
    if not isinstance(direction, Scaled):
        return direction
    array, factor = direction
    array *= factor
    return array


class Kernel:
    """Base of every transformation of a gradient: `kernel`, and what it needs besides the gradient.

    Attributes:
        slots: Names of the arrays of the parameters' shape that the kernel keeps between updates, such as `("mu", "nu")`.
        depends_on: What the scalars depend on besides the count and the learning rate: None; `"norm"`, the norm of the whole
            gradient; `"layer"`, the layer and kind of an array; or `"arrays"`, an array's gradient and parameters as well.
        per_element_scalars: Whether the scalars have the array's shape, as noise has. The array is then not split into blocks.
        keeps_non_finite: Whether a non-finite gradient leaves a slot non-finite. Then not every gradient needs a check.
        keeps_average: Whether the last slot is an average of the updated parameters. The part must be last in a chain.
    """

    __slots__ = ()
    slots: tuple[str, ...] = ()
    depends_on: DependsOn | None = None
    per_element_scalars: bool = False
    keeps_non_finite: bool = False
    keeps_average: bool = False

    def scalars(self, context: StepContext) -> Scalars:
        """Return what the kernel needs besides arrays: a number, a tuple of numbers, or None.

        Scalars of an array broadcast against its rows: for a shape (D, K) they may have the shape (K,) or (1, K).
        """
        return ()

    def kernel(
        self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars
    ) -> tuple[Any, Sequence[AnyArray]]:
        """Return the direction, which may be `Scaled`, and the new slots, element by element.

        The kernel owns `gradient` and `slots`: `mu *= b1` saves a copy, and means the same where arrays are immutable. It must
        not change `params`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define kernel(gradient, slots, params, scalars)")

    def init_slots(self, vector: Array) -> tuple[Array, ...]:
        """Return the initial slots: zeros by default."""
        return (read_only(np.zeros_like(vector)),) * len(self.slots)


def as_number(scalar: Any) -> Any:
    """Return a NumPy number as a Python float, which does not widen the arrays it meets; an array is returned unchanged."""
    if isinstance(scalar, Column):
        return Column([*map(float, scalar.values)])
    return float(scalar) if np.ndim(scalar) == 0 else scalar
