"""All parameters of a model in one flat vector, and the layers as views into it."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from fnloop.core.arrays import Array
from fnloop.core.display import html_table, one_line, pluralize, shape_and_dtype
from fnloop.core.records import frozen


class Shaped(Protocol):
    """What can lay its parameters out in a flat vector: any model."""

    @property
    def size(self) -> int: ...
    def unflatten(self, vector: Any) -> tuple[Any, ...]: ...


@frozen
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

    def __repr__(self) -> str:
        return one_line("Params", {"vector": shape_and_dtype(self.vector)}, pluralize(len(self._shapes()), "layer"))

    def _repr_html_(self) -> str:
        return html_table("Params", {"vector": shape_and_dtype(self.vector), **self._shapes()})

    def _shapes(self) -> dict[str, str]:
        """The shapes of each layer's arrays."""
        shapes: dict[str, str] = {}
        for place in getattr(self.model, "layout", ()):
            name = f"layers[{place.layer}]"
            shapes[name] = f"{shapes[name]}, {place.shape}" if name in shapes else f"{place.shape}"
        return shapes


class Slot(NamedTuple):
    """The place of one array in the flat vector, which of the model's `layers` it belongs to, and its kind.

    The kind is the array's name in the record of its layer: `weights`, `biases`, ...
    """

    start: int
    stop: int
    shape: tuple[int, ...]
    layer: int = 0
    kind: str = ""

    def view(self, vector: Any) -> Any:
        return vector[self.start : self.stop].reshape(self.shape)


def lay_out(layers: Sequence[Sequence[tuple[int, ...]]], kinds: Sequence[Sequence[str]] = ()) -> tuple[Slot, ...]:
    """Lay arrays one after the other: for each layer with parameters the shapes of its arrays, and their kinds if known."""
    placed: list[Slot] = []
    start = 0
    for layer, shapes in enumerate(layers):
        for i, shape in enumerate(shapes):
            placed.append(Slot(start, start + math.prod(shape), shape, layer, kinds[layer][i] if kinds else ""))
            start = placed[-1].stop
    return tuple(placed)
