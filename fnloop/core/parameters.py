"""The layout of a model's parameters in one flat vector."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple


class Slot(NamedTuple):
    """The place of one array in the flat vector.

    Attributes:
        start: The index of its first element.
        stop: The index after its last element.
        shape: Its shape.
        layer: The index of its layer among the layers with parameters. Default: `0`.
        kind: Its name in the layer's record of parameters, such as `"weights"`; `""` if it has none. Default: `""`.
    """

    start: int
    stop: int
    shape: tuple[int, ...]
    layer: int = 0
    kind: str = ""

    def view(self, vector: Any) -> Any:
        """Return the array as a view into the vector, or for a population, (K, P), that of each member, (K, *shape)."""
        return vector[..., self.start : self.stop].reshape(*vector.shape[:-1], *self.shape)


def lay_out(layers: Sequence[Sequence[tuple[int, ...]]], kinds: Sequence[Sequence[str]] = ()) -> tuple[Slot, ...]:
    """Return the slots of arrays that follow one another in a flat vector.

    Args:
        layers: For each layer with parameters, the shapes of its arrays.
        kinds: For each of these layers, the names of its arrays. Default: `()`, all names are `""`.

    Examples:
        >>> [slot[:3] for slot in lay_out([[(3, 2), (2,)]])]
        [(0, 6, (3, 2)), (6, 8, (2,))]
    """
    slots: list[Slot] = []
    start = 0
    for layer, shapes in enumerate(layers):
        for i, shape in enumerate(shapes):
            slots.append(Slot(start, start + math.prod(shape), shape, layer, kinds[layer][i] if kinds else ""))
            start = slots[-1].stop
    return tuple(slots)
