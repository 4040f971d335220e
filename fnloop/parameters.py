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
    """Where one array stands in the flat vector, and its layer, an index into `Params.layers`."""

    start: int
    stop: int
    shape: tuple[int, ...]
    layer: int = 0

    def view(self, vector: Any) -> Any:
        return vector[self.start : self.stop].reshape(self.shape)


def slots(shapes: Sequence[tuple[int, ...]], start: int = 0, layer: int = 0) -> tuple[Slot, ...]:
    """Lay a layer's arrays of the given shapes one after the other, from `start` on."""
    placed: list[Slot] = []
    for shape in shapes:
        size = 1
        for extent in shape:
            size *= extent
        placed.append(Slot(start, start + size, shape, layer))
        start += size
    return tuple(placed)


def layout_of(model: Any) -> tuple[Slot, ...]:
    """Where each array of a model's parameters stands, in order; a model without a `layout` counts as one array."""
    return getattr(model, "layout", None) or (Slot(0, model.size, (model.size,)),)
