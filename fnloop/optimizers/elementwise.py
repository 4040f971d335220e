"""The optimizer that any kernel becomes: `init` and `update`."""

from collections.abc import Sequence

from fnloop.core.arrays import Array, read_only
from fnloop.core.digest import stable_repr
from fnloop.core.formatting import Call
from fnloop.core.parameters import Slot
from fnloop.core.records import evolve, frozen
from fnloop.optimizers.argument_hints import OPTIMIZER_HINTS, TRANSFORMATION_HINTS
from fnloop.optimizers.kernel import DependsOn, Kernel
from fnloop.optimizers.kernel_pass import make_pass, write_direction


@frozen
class OptimizerState:
    """The state of any optimizer. It prints the names of its slots.

    Args:
        count: Number of updates applied.
        slots: The slots of each part in order, each (P,).
        slot_names: The name of each slot, qualified by its part, such as `Adam(b1=0.9, b2=0.999, eps=1e-08).mu`.
        has_average: Whether the last slot is an average of the parameters.

    Examples:
        >>> import numpy as np
        >>> from fnloop.optimizers import AdamW
        >>> AdamW().init(np.zeros(3))
        OptimizerState(count=0, slots=('Adam.mu', 'Adam.nu'))
    """

    count: int
    slots: tuple[Array, ...]
    slot_names: tuple[str, ...] = ()
    has_average: bool = False

    def __as_call__(self) -> Call:
        return Call("OptimizerState", (), {"count": self.count, "slots": tuple(map(_short, self.slot_names)) or self.slots})


def _short(slot_name: str) -> str:
    """Return a slot's name without the hyperparameters of its part, and without a wrapper around the part."""
    part, _, slot = slot_name.rpartition(".")
    return f"{part.split('(part=')[-1].partition('(')[0]}.{slot}"


class Elementwise(Kernel):
    """Base of every optimizer and every transformation of a gradient: a frozen record with a `kernel`.

    A subclass lists the arrays that it keeps in `slots`, and writes `kernel` as array arithmetic, which runs on every engine.
    It inherits `init` and `update`. In a `chain` it shares one pass over memory with the other parts. If the kernel needs
    numbers that change from update to update, it defines `scalars`; all members are in `Kernel`.

    Examples:
        >>> import fnloop as fl
        >>> @fl.frozen
        ... class SignMomentum(fl.optimizers.Elementwise):
        ...     decay: float = 0.9
        ...     slots = ("mu",)
        ...
        ...     def kernel(self, gradient, slots, params, scalars):
        ...         xp = gradient.__array_namespace__()
        ...         mu = self.decay * slots[0] + (1 - self.decay) * gradient
        ...         return xp.sign(mu), (mu,)
        >>> fl.Trainer(model=fl.mlp([3, 1]), loss="mse", optimizer=SignMomentum(), scheduler=0.01).optimizer
        SignMomentum(decay=0.9)

    See Also:
        `chain`, `StepContext`, `fnloop.testing.check_optimizer`
    """

    __slots__ = ()
    argument_hints = OPTIMIZER_HINTS

    @property
    def parts(self) -> "tuple[Elementwise, ...]":
        """The kernels to apply, in order."""
        return (self,)

    def init(self, vector: Array) -> OptimizerState:
        """Return the state before the first update.

        Args:
            vector: The parameters, (P,).
        """
        slots = tuple(slot for part in self.parts for slot in part.init_slots(vector))
        return OptimizerState(0, slots, qualified_slot_names(self), any(part.keeps_average for part in self.parts))

    def update(
        self, gradient: Array, state: OptimizerState, vector: Array, *, lr: float = 1.0, layout: Sequence[Slot] = ()
    ) -> tuple[Array, OptimizerState]:
        """Return the direction, by which the parameters move as `vector - lr * direction`, and the next state.

        Args:
            gradient: The gradient, (P,).
            state: The state before the update.
            vector: The parameters, (P,).
            lr: The learning rate of the update; few optimizers depend on it. Default: 1.
            layout: The place of each array in the vector, `model.layout`. By default the vector is one array of layer 0.

        Shapes:
            gradient, vector, direction: (P,).

        Raises:
            ValueError: If the gradient does not have the parameters' shape.
        """
        if gradient.shape != vector.shape:
            raise ValueError(f"gradient must have the parameters' shape {vector.shape}, got {gradient.shape}")
        direction, slots = gradient.copy(), [slot.copy() for slot in state.slots]
        make_pass(self.parts, direction, slots, vector, layout)(state.count + 1, lr, write_direction)
        return direction, evolve(state, count=state.count + 1, slots=tuple(read_only(slot) for slot in slots))


class Transformation(Elementwise):
    """Base of a transformation that is not an optimizer by itself: a number without a name is not a learning rate."""

    __slots__ = ()
    argument_hints = TRANSFORMATION_HINTS


class Wrapper(Elementwise):
    """Base of a transformation around another one, its `part`: the slots and dependencies are those of the part."""

    __slots__ = ()
    part: Elementwise

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]
        """The slots of the part."""
        return self.part.slots

    @property
    def depends_on(self) -> DependsOn | None:  # type: ignore[override]
        """The dependencies of the scalars of the part."""
        return self.part.depends_on

    @property
    def per_element_scalars(self) -> bool:  # type: ignore[override]
        """Whether the scalars of the part have the array's shape."""
        return self.part.per_element_scalars

    @property
    def keeps_average(self) -> bool:  # type: ignore[override]
        """Whether the last slot of the part is an average of the parameters."""
        return self.part.keeps_average

    def init_slots(self, vector: Array) -> tuple[Array, ...]:
        """Return the initial slots of the part."""
        return self.part.init_slots(vector)


def qualified_slot_names(optimizer: Elementwise) -> tuple[str, ...]:
    """Return the name of each slot of an optimizer, qualified by its part."""
    return tuple(f"{stable_repr(part)}.{slot}" for part in optimizer.parts for slot in part.slots)
