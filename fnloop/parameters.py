"""All parameters of a model in one flat vector, and the layers as views into it."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from fnloop.record import record
from fnloop.typing import Array


class Shaped(Protocol):
    """What can lay its parameters out in a flat vector: any model."""

    @property
    def size(self) -> int: ...
    def unflatten(self, vector: Any) -> tuple[Any, ...]: ...


@record
class Params:
    """The parameters of a model: the flat vector, and the architecture that gives it meaning.

    Shapes: `vector` is (P,), contiguous and read-only.
    """

    vector: Array
    model: Shaped

    @property
    def layers(self) -> tuple[Any, ...]:
        """A record of views into the vector for each layer, such as `DenseParams(weights, biases)`."""
        return self.model.unflatten(self.vector)


class Slot(NamedTuple):
    """Where one array stands in the flat vector."""

    start: int
    stop: int
    shape: tuple[int, ...]

    def view(self, vector: Any) -> Any:
        return vector[self.start : self.stop].reshape(self.shape)


def slots(shapes: Sequence[tuple[int, ...]], start: int = 0) -> tuple[Slot, ...]:
    """Lay arrays of the given shapes one after the other, from `start` on."""
    placed: list[Slot] = []
    for shape in shapes:
        size = 1
        for extent in shape:
            size *= extent
        placed.append(Slot(start, start + size, shape))
        start += size
    return tuple(placed)
