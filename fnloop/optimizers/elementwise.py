"""The optimizer that any kernel becomes: `init` and `update`."""

from collections.abc import Sequence

from fnloop.core.arrays import Array, read_only
from fnloop.core.digest import stable_repr
from fnloop.core.parameters import Slot
from fnloop.core.records import evolve, frozen
from fnloop.optimizers.argument_hints import OPTIMIZER_HINTS
from fnloop.optimizers.kernel import DependsOn, Kernel
from fnloop.optimizers.kernel_pass import make_pass, write_direction


@frozen
class OptimizerState:
    """The state of any optimizer.

    Args:
        count: Number of updates applied.
        slots: The slots of each part in order, each (P,).
        slot_names: The name of each slot, qualified by its part, such as `Adam(b1=0.9, b2=0.999, eps=1e-08).mu`.
        has_average: Whether the last slot is an average of the parameters.
    """

    count: int
    slots: tuple[Array, ...]
    slot_names: tuple[str, ...] = ()
    has_average: bool = False


class Elementwise(Kernel):
    """Base of every optimizer and transformation: a subclass writes `kernel`, and inherits `init` and `update`."""

    __slots__ = ()
    argument_hints = OPTIMIZER_HINTS  # for arguments that its constructor does not take

    @property
    def parts(self) -> "tuple[Elementwise, ...]":
        """The transformations in order."""
        return (self,)

    def init(self, vector: Array) -> OptimizerState:
        """Return the state before the first update."""
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
            lr: The learning rate of the update; few optimizers depend on it.
            layout: The place of each array in the vector, `model.layout`. By default the vector is one array of layer 0.

        Shapes:
            gradient, vector, direction: (P,).

        Raises:
            ValueError: If the gradient has another shape than the parameters.
        """
        if gradient.shape != vector.shape:
            raise ValueError(f"gradient must have the parameters' shape {vector.shape}, got {gradient.shape}")
        direction, slots = gradient.copy(), [slot.copy() for slot in state.slots]
        make_pass(self.parts, direction, slots, vector, layout)(state.count + 1, lr, write_direction)
        return direction, evolve(state, count=state.count + 1, slots=tuple(read_only(slot) for slot in slots))


class Wrapper(Elementwise):
    """Base of a transformation around another, its `part`, whose slots and dependencies it has."""

    __slots__ = ()
    part: Elementwise

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.part.slots

    @property
    def depends_on(self) -> DependsOn | None:  # type: ignore[override]
        return self.part.depends_on

    @property
    def per_element_scalars(self) -> bool:  # type: ignore[override]
        return self.part.per_element_scalars

    @property
    def keeps_average(self) -> bool:  # type: ignore[override]
        return self.part.keeps_average

    def init_slots(self, vector: Array) -> tuple[Array, ...]:
        return self.part.init_slots(vector)


def qualified_slot_names(optimizer: Elementwise) -> tuple[str, ...]:
    """Return the name of each slot of an optimizer, qualified by its part."""
    return tuple(f"{stable_repr(part)}.{slot}" for part in optimizer.parts for slot in part.slots)
